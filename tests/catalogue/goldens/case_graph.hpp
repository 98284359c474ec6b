#pragma once

// Graphs of golden cases: tensors under the names that a case has for them, filled from it, run and
// compared with it.

#include <catalogue/goldens/checks.hpp>

#include <functional>
#include <utility>

namespace tessera::testing {

/// A graph under construction whose tensors are known by a case's names.
class case_graph {
 public:
  using converter = std::function<std::vector<double>(const std::vector<double>&)>;

  case_graph(const golden_case& c, bool batch_last) : case_(c), batch_last_(batch_last) {}

  graph g;
  attributes attr;

  bool batch_last() const { return batch_last_; }

  /// An input of the case. `rank`: extents joined to that many, 0: as they are.
  i32 input(const std::string& name, i32 rank = 0) {
    const golden_tensor t = case_.tensor("inputs", name);
    return input(name, rank > 0 ? t.dims_as(rank) : t.dims_as_they_are());
  }
  i32 input(const std::string& name, const shape& dims, role what = role::input,
            element type = element::f32, bool batched = true) {
    const bool wanted = case_.has("grad_inputs", name);
    const i32 id = add_tensor(g, dims, {what, type, batched, batch_last_, wanted});
    fill_.push_back({id, "inputs", name});
    if (wanted) gradient_.push_back({id, "grad_inputs", name});
    return id;
  }
  i32 weight(const std::string& name, const shape& dims) {
    const i32 id = add_weight(g, dims);
    fill_.push_back({id, "weights", name});
    if (case_.has("grad_weights", name)) gradient_.push_back({id, "grad_weights", name});
    return id;
  }
  /// A sequence: (time, batch, features).
  i32 sequence(const std::string& name) {
    const i32 id = input(name);
    g.tensors[id].stack = 1;
    return id;
  }
  /// An input that is no tensor of the case.
  void given(i32 id, std::vector<double> values) { given_.push_back({id, std::move(values)}); }
  /// All parameters that layers have made: weights of the case under the names of their parts.
  void adopt_weights() {
    for (i32 id = 0; id < g.tensors.size(); ++id) {
      const tensor& t = g.tensors[id];
      if (t.what != role::parameter || t.of >= 0) continue;
      fill_.push_back({id, "weights", t.name.part});
      if (case_.has("grad_weights", t.name.part)) {
        gradient_.push_back({id, "grad_weights", t.name.part});
      }
    }
  }
  /// The same under the names that `name_of` makes of theirs.
  void adopt_weights(const std::function<std::string(const tensor_name&)>& name_of) {
    for (i32 id = 0; id < g.tensors.size(); ++id) {
      const tensor& t = g.tensors[id];
      if (t.what != role::parameter || t.of >= 0) continue;
      const std::string name = name_of(t.name);
      fill_.push_back({id, "weights", name});
      if (case_.has("grad_weights", name)) gradient_.push_back({id, "grad_weights", name});
    }
  }
  /// A parameter that a layer has made, under the name that the case has for it.
  void adopt(i32 id, const std::string& name) {
    fill_.push_back({id, "weights", name});
    if (case_.has("grad_weights", name)) gradient_.push_back({id, "grad_weights", name});
  }
  /// The same for a matrix that the case has the other way round.
  void adopt_transposed(i32 id, const std::string& name) { transposed_.push_back({id, name}); }
  /// A stack of parameters whose slices the case knows by names of their own, first slice first.
  void adopt_slices(i32 id, const std::vector<std::string>& names) {
    slices_.push_back({id, names});
  }
  /// A result of the case; what `convert` makes of its values is compared.
  void output(const std::string& name, i32 id, converter convert = {}) {
    keep(g, id);
    output_.push_back({id, "outputs", name});
    converters_.push_back(std::move(convert));
  }

  /// A result of the case that is the sum of losses.
  void output_sum(const std::string& name, const std::vector<i32>& losses) {
    sums_.push_back({name, losses});
    for (const i32 id : losses) keep(g, id);
  }

  /// What other modes than the comparison of values need. Values that cannot be learned are the
  /// case's own.
  example as_example() const {
    example e;
    e.g = g;
    e.given = given_;
    for (const entry& o : output_) e.of.push_back(o.id);
    for (const auto& [name, losses] : sums_) e.of.insert(e.of.end(), losses.begin(), losses.end());
    for (const entry& from : fill_) {
      if (g.tensors[from.id].differentiable) continue;
      e.given.push_back({from.id, case_.tensor(from.section, from.name).values});
    }
    return e;
  }

  /// Differentiates, runs once and compares everything the case has.
  void run(const graph_backend& b, findings& f) {
    std::vector<i32> from;
    for (const entry& e : output_) {
      if (case_.has("grad_outputs", e.name)) from.push_back(e.id);
    }
    const differentiated d = differentiate_from(g, from);
    interpreter net(g, b.find);
    for (const entry& e : fill_) net.write(e.id, case_.tensor(e.section, e.name).values);
    for (const auto& [id, names] : slices_) {
      std::vector<double> all;
      for (const std::string& name : names) {
        const std::vector<double> slice = case_.tensor("weights", name).values;
        all.insert(all.end(), slice.begin(), slice.end());
      }
      net.write(id, all);
    }
    for (const auto& [id, name] : transposed_) {
      net.write(id, transpose(g.tensors[id].dims[0], case_.tensor("weights", name).values));
    }
    for (const auto& [id, values] : given_) net.write(id, values);
    std::size_t seed = 0;
    for (const entry& e : output_) {
      if (!case_.has("grad_outputs", e.name)) continue;
      net.write(d.seeds[seed++], case_.tensor("grad_outputs", e.name).values);
    }
    net.run({.valid = g.tensors[fill_[0].id].batch()});
    for (std::size_t i = 0; i < output_.size(); ++i) {
      const std::vector<double> got = net.read(output_[i].id);
      f.compare("outputs", output_[i].name, converters_[i] ? converters_[i](got) : got);
    }
    for (const auto& [name, losses] : sums_) {
      double sum = 0;
      for (const i32 loss : losses) sum += net.read(loss)[0];
      f.compare("outputs", name, {sum});
    }
    std::size_t compared = 0;
    for (const entry& e : gradient_) {
      const i32 id = d.gradients[e.id];
      // Where nothing depends on a tensor the graph has no gradient: zeros.
      const auto count = static_cast<std::size_t>(g.tensors[e.id].dims.count());
      f.compare(e.section, e.name, id < 0 ? std::vector<double>(count) : net.read(id));
      ++compared;
    }
    for (const auto& [id, names] : slices_) {
      const std::vector<double> all = net.read(d.gradients[id]);
      const auto count = static_cast<std::ptrdiff_t>(all.size() / names.size());
      auto slice = all.begin();
      for (const std::string& name : names) {
        f.compare("grad_weights", name, {slice, slice + count});
        slice += count;
        ++compared;
      }
    }
    for (const auto& [id, name] : transposed_) {
      if (!case_.has("grad_weights", name)) continue;
      const std::vector<double> got = net.read(d.gradients[id]);
      f.compare("grad_weights", name, transpose(g.tensors[id].dims[1], got));
      ++compared;
    }
    const std::size_t expected =
        case_.names("grad_inputs").size() + case_.names("grad_weights").size();
    if (compared != expected) f.note("compared only some of the case's gradients");
    if (output_.size() + sums_.size() != case_.names("outputs").size())
      f.note("compared only some outputs");
  }

 private:
  /// A matrix of `rows` rows, given by its columns.
  static std::vector<double> transpose(i32 rows, const std::vector<double>& by_columns) {
    const auto r = static_cast<std::size_t>(rows);
    const std::size_t columns = by_columns.size() / r;
    std::vector<double> values(by_columns.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i % r * columns + i / r] = by_columns[i];
    }
    return values;
  }

  struct entry {
    i32 id;
    std::string section;
    std::string name;
  };

  const golden_case& case_;
  bool batch_last_;
  std::vector<entry> fill_, gradient_, output_;
  std::vector<std::pair<i32, std::vector<double>>> given_;
  std::vector<std::pair<i32, std::vector<std::string>>> slices_;
  std::vector<std::pair<i32, std::string>> transposed_;
  std::vector<converter> converters_;
  std::vector<std::pair<std::string, std::vector<i32>>> sums_;
};

/// The rows of `all` (rows, batch, features) as so many values (batch, features).
inline std::vector<i32> rows_of(graph& g, i32 all) {
  const shape dims = g.tensors[all].dims;
  const std::vector<i32> extents(static_cast<std::size_t>(dims[0]), 1);
  const ops::split_parts parts = ops::split(g, all, extents.data(), dims[0], 0, {"rows", 0, ""});
  std::vector<i32> rows;
  for (i32 i = 0; i < dims[0]; ++i) {
    rows.push_back(ops::view_into(g, parts[i], dims.sample(), 0, 0, 0, 0));
  }
  return rows;
}

/// Values (batch, features) one after another as (rows, batch, features).
inline i32 join_rows(graph& g, const std::vector<i32>& rows) {
  std::vector<ops::part> parts;
  for (const i32 row : rows) {
    parts.push_back({ops::view_into(g, row, g.tensors[row].dims.batch_of(1), 1, 0, 0, 0)});
  }
  return ops::concat(g, parts.data(), static_cast<i32>(parts.size()), 0, {"rows", 0, ""});
}

/// Builds, runs and compares a case on all backends and layouts; or hands it to another mode.
template <class Build>
void check_operation(const golden_case& c, findings& f, i32 batch, Build build) {
  if (f.other_mode()) {
    const auto make = [&](bool last) {
      case_graph net(c, last);
      attribute_reader attrs = c.attributes();
      build(net, attrs);
      return net.as_example();
    };
    return f.other_mode()({c.id(), {}, batch, make});
  }
  on_all_backends(f, batch, [&](const graph_backend& b, bool last) {
    case_graph net(c, last);
    attribute_reader attrs = c.attributes();
    build(net, attrs);
    attrs.all_must_be_asked();
    net.run(b, f);
  });
}

}  // namespace tessera::testing
