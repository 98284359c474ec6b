#include <tessera/core/grow.hpp>

#include <support/catch.hpp>

#include <utility>
#include <vector>

namespace {

using namespace tessera;

std::vector<int> contents(const grow<int>& g) { return {g.begin(), g.end()}; }

TEST_CASE("An array grows inside a constant", "[core]") {
  constexpr i32 sum = [] {
    grow<i32> g;
    for (i32 i = 0; i < 1000; ++i) g.push(i);
    i32 s = 0;
    for (const i32 v : g) s += v;
    return s + g.size();
  }();
  STATIC_REQUIRE(sum == 999 * 1000 / 2 + 1000);
}

TEST_CASE("push returns the index of what it appends", "[core]") {
  grow<int> g;
  CHECK(g.empty());
  for (int i = 0; i < 100; ++i) REQUIRE(g.push(7 * i) == i);
  CHECK(g.size() == 100);
  CHECK(g[99] == 693);
  CHECK(g.back() == 693);
}

TEST_CASE("An array may append one of its own elements", "[core]") {
  grow<std::vector<int>> g;
  g.push({1, 2, 3});
  for (int i = 0; i < 20; ++i) g.push(g[0]);
  for (const std::vector<int>& v : g) CHECK(v == std::vector<int>{1, 2, 3});
}

TEST_CASE("Copies are independent, moves leave nothing behind", "[core]") {
  grow<int> a;
  for (int i = 0; i < 10; ++i) a.push(i);
  grow<int> b = a;
  b[0] = 100;
  CHECK(a[0] == 0);
  const grow<int> c = std::move(b);
  CHECK(c[0] == 100);
  CHECK(c.size() == 10);
  CHECK(b.empty());  // NOLINT: what a move leaves is stated
  grow<int> d;
  d.push(5);
  d = a;
  CHECK(contents(d) == contents(a));
  d = grow<int>(3);
  CHECK(contents(d) == std::vector<int>{0, 0, 0});
  grow<int>& same = d;
  d = same;
  CHECK(d.size() == 3);
}

TEST_CASE("resize fills with fresh values, also over old ones", "[core]") {
  grow<int> g;
  for (int i = 1; i <= 5; ++i) g.push(i);
  g.resize(2);
  g.resize(4);
  CHECK(contents(g) == std::vector<int>{1, 2, 0, 0});
  g.clear();
  CHECK(g.empty());
  g.resize(50);
  CHECK(g[49] == 0);
}

}  // namespace
