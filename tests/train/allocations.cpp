#include <tessera/train/trainer.hpp>

#include <support/catch.hpp>
#include <support/reference_kernels.hpp>

#include <tessera/backends/reference.hpp>
#include <tessera/network.hpp>
#include <tessera/network/rbm.hpp>

#include <cerrno>
#include <cstdlib>
#include <vector>

// Every way to the heap counts: operator new and delete end in these functions of the C library,
// and so does whatever a kernel or the OpenMP library might ask for. glibc lets a program bring its
// own; sanitizers bring theirs, and other libraries have no second name for the original.

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
#define TESSERA_TEST_SANITIZED
#endif
#endif
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(TESSERA_TEST_SANITIZED)

#include <atomic>

namespace {
std::atomic<long> heap_calls{0};
}

extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
void __libc_free(void*);

void* malloc(std::size_t n) noexcept {
  ++heap_calls;
  return __libc_malloc(n);
}
void* calloc(std::size_t n, std::size_t each) noexcept {
  ++heap_calls;
  return __libc_calloc(n, each);
}
void* realloc(void* p, std::size_t n) noexcept {
  ++heap_calls;
  return __libc_realloc(p, n);
}
void* memalign(std::size_t alignment, std::size_t n) noexcept {
  ++heap_calls;
  return __libc_memalign(alignment, n);
}
void* aligned_alloc(std::size_t alignment, std::size_t n) noexcept {
  ++heap_calls;
  return __libc_memalign(alignment, n);
}
int posix_memalign(void** out, std::size_t alignment, std::size_t n) noexcept {
  ++heap_calls;
  *out = __libc_memalign(alignment, n);
  return *out == nullptr ? ENOMEM : 0;
}
void free(void* p) noexcept {
  ++heap_calls;
  __libc_free(p);
}
}

namespace {

using namespace tessera;

struct reference_backend {
  template <signature S>
  static constexpr kernel kernel_of = reference::kernel_of<S>;
};

/// Blank and lit images; reading them allocates nothing.
struct images {
  i64 size() const { return 64; }
  shape sample_shape() const { return {1, 8, 8}; }
  void read(i64 index, float* out) const {
    for (i32 i = 0; i < 64; ++i) out[i] = (i + index) % 3 == 0 ? 1.0f : 0.0f;
  }
  i32 label(i64 index) const { return static_cast<i32>(index % 3); }
};

using net = network<image<1, 8, 8>, conv<4, 3>, tessera::tanh, max_pool<2>, conv<4, 2>, relu,
                    avg_pool<2>, flatten, dense<8>, dropout<20>, sigmoid, dense<3>>;

template <class... Options>
using job = training<net, softmax_cross_entropy, adam, batch<16>, Options...>;

/// Frames with up to 4 labels of 5.
struct utterances {
  i64 size() const { return 64; }
  shape sample_shape() const { return {12, 6}; }
  void read(i64 index, float* out) const {
    for (i32 i = 0; i < 72; ++i) out[i] = static_cast<float>((i * 5 + index) % 7) / 7;
  }
  void target(i64 index, i32 which, i32* out) const {
    if (which == 0) {
      for (i32 u = 0; u < 4; ++u) out[u] = static_cast<i32>(1 + (index + u) % 5);
    } else {
      *out = static_cast<i32>(which == 1 ? index % 5 : 10 + index % 3);
    }
  }
};

/// Calls to the heap in some steps with all that belongs to them.
template <class Job, class Backend, class Source = images>
long calls(i32 steps, i32 workers = 1) {
  trainer<Job, Backend> t{seed{1}, threads{workers}};
  const Source source;
  std::vector<i32> indices(16);
  for (i32 i = 0; i < 16; ++i) indices[static_cast<std::size_t>(i)] = 3 * i;
  const auto run = [&](i32 count) {
    double sum = 0;
    for (i32 i = 0; i < count; ++i) {
      t.load(source, indices);
      t.step(0.01f, 16 - i % 3);
      sum += t.loss() + t.loss_scale();
    }
    return sum;
  };
  run(1);  // starts the threads, where there are several
  const long before = heap_calls;
  run(steps);
  return heap_calls - before;
}

TEST_CASE("Steps of restricted Boltzmann machines leave the heap alone", "[train]") {
  using machine = rbm<64, 12>;
  CHECK(calls<rbm_training<machine, cd<2>, momentum_sgd, batch<16>>, host_backend>(100) == 0);
  CHECK(calls<rbm_training<machine, pcd<1>, momentum_sgd, batch<16>>, host_backend>(3, 2) == 0);
  using narrow = rbm_training<machine, cd<1, mean_field>, sgd, batch<16>, mixed<fp16>>;
  CHECK(calls<narrow, on<accelerator::ipu_mk1>>(3) == 0);
}

TEST_CASE("Steps with CTC leave the heap alone", "[train]") {
  using reader = network<sequence<12, 6>, each_step<dense<6>>>;
  using reading = training<reader, ctc<4>, sgd, batch<16>>;
  CHECK(calls<reading, host_backend, utterances>(10) == 0);
  CHECK(calls<reading, host_backend, utterances>(3, 2) == 0);
  using narrow = training<reader, ctc<4>, sgd, batch<16>, mixed<fp16>>;
  CHECK(calls<narrow, on<accelerator::ipu_mk1>, utterances>(3) == 0);
}

TEST_CASE("The heap's counter counts", "[train]") {
  const long before = heap_calls;
  {
    std::vector<int> v(100);
    v[3] = 1;
    CHECK(v[3] == 1);
  }
  const long after = heap_calls;
  CHECK(after >= before + 2);
}

TEST_CASE("100 steps on the reference backend leave the heap alone", "[train]") {
  CHECK(calls<job<>, reference_backend>(100) == 0);
  CHECK(calls<job<mixed<fp16, skip_step>>, reference_backend>(100) == 0);
}

TEST_CASE("100 steps on the host leave the heap alone", "[train]") {
  CHECK(calls<job<>, host_backend>(100) == 0);
  CHECK(calls<job<mixed<fp16, skip_step>>, host_backend>(100) == 0);
  CHECK(calls<job<mixed<fp16, skip_tensor>>, host_backend>(3, 2) == 0);
}

struct sparse_lamb : lamb {
  static constexpr float l1 = 1e-4f;
};

TEST_CASE("Steps that clip, adapt and penalize leave the heap alone", "[train]") {
  using adapting = training<net, softmax_cross_entropy, sparse_lamb, batch<16>, clip_norm<1>,
                            clip_value<1, 2>, mixed<fp16>>;
  CHECK(calls<adapting, host_backend>(20) == 0);
  CHECK(calls<adapting, host_backend>(3, 2) == 0);
  CHECK(calls<adapting, on<accelerator::ipu_mk1>>(3) == 0);
}

TEST_CASE("100 steps on the accelerator model leave the heap alone", "[train]") {
  using model = on<accelerator::ipu_mk1>;
  CHECK(calls<job<>, model>(100) == 0);
  CHECK(calls<job<mixed<fp16, skip_step>>, model>(3, 2) == 0);
}

}  // namespace

#endif
