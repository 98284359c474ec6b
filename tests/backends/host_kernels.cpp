#include <tessera/backends/host/kernels.hpp>

#include <tessera/ops/ops.hpp>

#include <support/kernel_finders.hpp>

#include "host_support.hpp"

// Which kernels exist, and that a program's constants name the same ones as a search at run time.

using namespace tessera;

kernel tessera::testing::find_host_kernel(const signature& s) { return host::find_kernel(s); }

namespace {

constexpr signature dense_signature(element type, bool batch_last, bool fixed) {
  signature s;
  s.what = kind::dense;
  s.fixed = fixed;
  s.batch_last = batch_last;
  s.set_type(0, type);
  s.set_type(1, type);
  s.set_type(2, type);
  s.set_type(8, type);
  dense_sizes{16, 5, 3}.write(s);
  return s;
}

constexpr signature cast_signature(element from, element to) {
  signature s;
  s.what = kind::cast;
  s.set_type(0, from);
  s.set_type(8, to);
  return s;
}

}  // namespace

TEST_CASE("every kind has a kernel in each storage type and both layouts", "[backends][host]") {
  // Which operands are stored in 16 bits and which are sums, indices or bytes differs by kind: some
  // choice of types with the storage type among them has a kernel.
  const auto found = [](signature s, element type) {
    const element others[] = {type, element::f32, element::int32, element::uint8};
    for (const element first : others) {
      for (const element second : others) {
        for (const element out : others) {
          s.set_type(0, first);
          s.set_type(1, second);
          s.set_type(8, out);
          if (!host::supports(s)) continue;
          if (host::name_of(s).storage != type && first != type) continue;  // moves take bytes
          if (testing::find_host_kernel(s) != nullptr) return true;
        }
      }
    }
    return false;
  };
  for (i32 what = 1; what < static_cast<i32>(kind::count); ++what) {
    for (const element type : {element::f32, element::f16, element::bf16}) {
      for (const bool last : {false, true}) {
        signature s;
        s.what = static_cast<kind>(what);
        s.batch_last = last;
        CAPTURE(ops::name_of(s.what), name_of(type), last);
        const bool none = s.what == kind::loop || s.what == kind::end_loop;  // run by the sequence
        const bool floats_only = is_user(s.what);
        CHECK(found(s, type) == (!none && !(floats_only && type != element::f32)));
      }
    }
  }
}

TEST_CASE("f64, whole numbers and mixed operands have no kernel", "[backends][host]") {
  for (const element type : {element::f64, element::int64, element::int32}) {
    const signature s = dense_signature(type, true, false);
    CHECK_FALSE(host::supports(s));
    CHECK(testing::find_host_kernel(s) == nullptr);
  }
  signature mixed = dense_signature(element::f16, true, false);
  for (const element other : {element::f32, element::bf16}) {
    mixed.set_type(1, other);
    CHECK(testing::find_host_kernel(mixed) == nullptr);
  }
  CHECK(testing::find_host_kernel(signature{}) == nullptr);
}

TEST_CASE("kernels are constants of a signature", "[backends][host]") {
  constexpr signature last = dense_signature(element::f32, true, false);
  constexpr signature first = dense_signature(element::f16, false, false);
  STATIC_REQUIRE(host::kernel_of<last> != nullptr);
  CHECK(host::kernel_of<last> == testing::find_host_kernel(last));
  CHECK(host::kernel_of<first> == testing::find_host_kernel(first));
  constexpr signature wide = dense_signature(element::bf16, false, false);
  CHECK(host::kernel_of<wide> == testing::find_host_kernel(wide));
  CHECK(host::kernel_of<wide> != host::kernel_of<first>);
  constexpr signature narrow = cast_signature(element::f32, element::f16);
  constexpr signature widen = cast_signature(element::f16, element::f32);
  constexpr signature across = cast_signature(element::f16, element::bf16);
  CHECK(host::kernel_of<narrow> == testing::find_host_kernel(narrow));
  CHECK(host::kernel_of<widen> == testing::find_host_kernel(widen));
  CHECK(host::kernel_of<across> == testing::find_host_kernel(across));
  CHECK(host::kernel_of<across> != host::kernel_of<narrow>);
}
