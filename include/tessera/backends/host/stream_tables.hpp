#pragma once

// Tables of the functions in stream_math.hpp, which says how they are read.
//
// A segment's polynomial is c0 + c1 r + ... + c6 r^6 with r = a - centre. Centres are those floats
// near the middles whose tanh is nearest to a float; the first segment's is 0, where the even
// coefficients are. Least squares at Chebyshev's nodes.

namespace tessera::host {

// clang-format off

/// Coefficients by segment; number (bits of a + 5/8) / 2^21 mod 16.
struct tanh_segments {
  static constexpr float shift = 0.625f;
  static constexpr float end = 9.37f;  // from 9.02 on the nearest float is 1
  alignas(64) static constexpr float center[16] = {
      1.62527895f, 2.1244576f, 2.6251359f, 3.12478685f, 3.87510729f, 4.87447119f,
      5.87636137f, 6.87356949f, 8.37213898f, 0, 0.187471583f, 0.312523425f,
      0.499970794f, 0.750143766f, 1.0001992f, 1.24971187f};
  alignas(64) static constexpr float c0[16] = {
      0.92538631f, 0.971842647f, 0.989562571f, 0.996144891f, 0.999139071f, 0.999883294f,
      0.999984264f, 0.999997854f, 0.999999881f, 0, 0.185305759f, 0.302731007f,
      0.462094188f, 0.635234714f, 0.761677802f, 0.848202825f};
  alignas(64) static constexpr float c1[16] = {
      0.143660098f, 0.0555218607f, 0.0207659211f, 0.00769535871f, 0.00172115385f, 0.00023340332f,
      3.14716999e-05f, 4.2829929e-06f, 2.13970239e-07f, 1, 0.965661764f, 0.908353925f,
      0.786468983f, 0.596476853f, 0.419846922f, 0.28055197f};
  alignas(64) static constexpr float c2[16] = {
      -0.132941112f, -0.0539585091f, -0.0205491744f, -0.0076656905f, -0.0017196507f, -0.00023337279f,
      -3.1470765e-05f, -4.14728993e-06f, -1.15713824e-07f, 0, -0.178942695f, -0.274986923f,
      -0.363422722f, -0.378902823f, -0.319788098f, -0.237964973f};
  alignas(64) static constexpr float c3[16] = {
      0.0751451626f, 0.0339330025f, 0.0134123769f, 0.00507076411f, 0.00114329637f, 0.000155379676f,
      2.09572991e-05f, 2.85540887e-06f, 1.41084001e-07f, -0.33332783f, -0.28872776f, -0.219537586f,
      -0.0942268223f, 0.0418619849f, 0.103625968f, 0.108326226f};
  alignas(64) static constexpr float c4[16] = {
      -0.0252202712f, -0.0149914073f, -0.00642306218f, -0.0024961913f, -0.000569901895f, -7.76874876e-05f,
      -1.048183e-05f, -2.51299957e-06f, -2.67034409e-07f, 0, 0.113149911f, 0.158126712f,
      0.164677218f, 0.0997091755f, 0.0276674107f, -0.0125597855f};
  alignas(64) static constexpr float c5[16] = {
      0.00116291107f, 0.0044565252f, 0.00235762587f, 0.000975451199f, 0.000235705927f, 3.23748609e-05f,
      4.37302424e-06f, 5.82832172e-07f, 3.24899467e-08f, 0.132177204f, 0.0965319499f, 0.0454958342f,
      -0.0264388863f, -0.0634465963f, -0.0462166183f, -0.0193472598f};
  alignas(64) static constexpr float c6[16] = {
      0.0042098891f, -0.000535483181f, -0.000636190933f, -0.000303276058f, -7.68445025e-05f, -1.06805492e-05f,
      -1.44840726e-06f, 2.28616773e-06f, 1.01452081e-07f, 0, -0.0593850501f, -0.0729723275f,
      -0.0501369387f, -0.0013129398f, 0.0187357981f, 0.0151687143f};
};

/// 2^(k / 16).
struct sixteenth_roots {
  alignas(64) static constexpr float nearest[16] = {
      1, 1.04427373f, 1.09050775f, 1.13878858f, 1.18920708f, 1.24185777f,
      1.29683959f, 1.35425556f, 1.41421354f, 1.47682619f, 1.54221082f, 1.61049032f,
      1.68179286f, 1.75625217f, 1.8340081f, 1.91520655f};

  /// What those lack, in shares of them.
  alignas(64) static constexpr float lack[16] = {
      0, 4.62854687e-08f, -1.19921572e-08f, 4.72978214e-08f, 3.19341798e-08f, 3.62105718e-08f,
      -3.09907217e-08f, -7.47521322e-09f, 1.7114271e-08f, -3.04768352e-08f, 5.23333422e-09f, 6.10759158e-09f,
      -1.47196057e-08f, -5.25879515e-09f, -6.12825986e-09f, 5.14060919e-09f};
};

// clang-format on

}  // namespace tessera::host
