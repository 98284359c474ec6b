#include <tessera/machine/fields.hpp>

#include <support/catch.hpp>

#include <set>
#include <string>

#include <tessera/machine/presets.hpp>

using namespace tessera;

namespace {

/// Visits all fields, those of units in units too.
template <class Leaf>
struct deep_visitor {
  Leaf leaf;
  std::string path;

  template <class Field, class... Limits>
  void operator()(const char* name, Field& field, const Limits&... limits) const {
    if constexpr (std::is_class_v<Field>) {
      visit_fields(field, deep_visitor{leaf, path + name + '.'});
    } else {
      leaf(path + name, field, limits...);
    }
  }
};

template <class Leaf>
void visit_deeply(machine& m, const Leaf& leaf) {
  visit_fields(m, deep_visitor<Leaf>{leaf, ""});
}

}  // namespace

TEST_CASE("every field of a machine is listed once", "[machine]") {
  machine m;
  std::set<std::string> names;
  std::size_t bytes = sizeof m.name;
  visit_deeply(m, [&](const std::string& name, auto& field, const auto&...) {
    CHECK(names.insert(name).second);
    bytes += sizeof field;
  });
  // A field more or less changes one of the three: list it in machine/fields.hpp, then put it right
  // here. What the fields do not fill is padding.
  CHECK(names.size() == 102);
  CHECK(bytes == 402);
  CHECK(sizeof(machine) == 432);
}

TEST_CASE("all presets are within the bounds of the fields", "[machine]") {
  for (const machine* preset : accelerator::machines) {
    machine m = *preset;
    visit_deeply(m, [&](const std::string& name, auto& field, const auto&... limits) {
      INFO(preset->name << ' ' << name);
      if constexpr (sizeof...(limits) == 2) {
        const i64 bounds[] = {static_cast<i64>(limits)...};
        CHECK(static_cast<i64>(field) >= bounds[0]);
        CHECK(static_cast<i64>(field) <= bounds[1]);
      } else if constexpr (sizeof...(limits) == 1) {
        CHECK(((static_cast<std::size_t>(field) < std::size(limits)) && ...));
      }
    });
    CHECK(m == *preset);
  }
}

TEST_CASE("the names of choices are in the order of their values", "[machine]") {
  using namespace machine_fields;
  for (std::size_t i = 0; i < std::size(element_names); ++i) {
    CHECK(element_names[i] == name_of(static_cast<element>(i)));
  }
  CHECK(order_names[static_cast<i32>(accumulation::tree)] == "tree");
  CHECK(rounding_names[static_cast<i32>(rounding::stochastic)] == "stochastic");
  CHECK(form_names[static_cast<i32>(matrix_form::dots)] == "dots");
  CHECK(flow_names[static_cast<i32>(dataflow::input_stationary)] == "input_stationary");
  CHECK(drain_names[static_cast<i32>(drain_form::serial)] == "serial");
  CHECK(issue_names[static_cast<i32>(issue_form::lockstep)] == "lockstep");
}
