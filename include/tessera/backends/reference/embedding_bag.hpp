#pragma once

// Embedding bags and the updates of tables as plain loops (ops/embedding_bag.hpp and
// ops/embedding.hpp state what they mean).
//
// An update looks at every entry and asks whether its row has occurred before; so it needs no list,
// and takes time that grows with the square of the entries.

#include <tessera/backends/reference/update.hpp>
#include <tessera/ops/lookups.hpp>
#include <limits>

namespace tessera::reference {

template <class Real>
void embedding_bag(const call& c) {
  const ops::lookups l(c);
  const auto table = in<Real>(c, 1);
  const auto weights = in<Real>(c, 6);
  const auto y = out<Real>(c, 0);
  i32* const rows = c.sizes->has_output(1) ? c.output<i32>(1) : nullptr;
  l.for_bags(0, l.bags, [&](i32 b, const ops::bag_range& range) {
    for (i64 w = 0; w < l.width; ++w) {
      Real sum = 0;
      i32 largest = -1;
      for (i32 e = range.begin; e < range.end; ++e) {
        const i64 row = l.row(b, e);
        if (row < 0) continue;
        const Real value = rounded_to(y.type(), table[row * l.width + w]);
        if (l.mode != bag_mode::max) {
          sum += weights ? weights[l.place(b, e)] * value : value;
        } else if (largest < 0 || value > sum) {
          sum = value;
          largest = static_cast<i32>(row);
        }
      }
      if (l.mode == bag_mode::mean) sum /= static_cast<Real>(l.count(b, range));
      y.set(l.element(b) + w * l.step(), sum);
      if (rows != nullptr) rows[l.element(b) + w * l.step()] = largest;
    }
  });
}

/// The gradient of the table of an embedding or a bag, element by element.
template <class Real>
class table_gradient {
 public:
  explicit table_gradient(const call& c)
      : l_(c),
        dy_(in<Real>(c, 1)),
        weights_(in<Real>(c, 6)),
        winners_(c.sizes->has_input(5) ? c.input<i32>(5) : nullptr) {}

  const ops::lookups& entries() const { return l_; }

  Real operator()(i64 row, i64 w) const {
    Real sum = 0;
    l_.for_bags(0, l_.bags, [&](i32 b, const ops::bag_range& range) {
      const i64 at = l_.element(b) + w * l_.step();
      for (i32 e = range.begin; e < range.end; ++e) {
        if (l_.row(b, e) != row) continue;
        if (l_.mode == bag_mode::max) {
          if (winners_[at] == row) sum += dy_[at];
          break;  // once, however often the bag names it
        }
        Real term = dy_[at];
        if (weights_) term *= weights_[l_.place(b, e)];
        if (l_.mode == bag_mode::mean) term /= static_cast<Real>(l_.count(b, range));
        sum += term;
      }
    });
    return sum;
  }
  /// As its own type would have stored it.
  Real stored(i64 row, i64 w) const { return rounded_to(dy_.type(), (*this)(row, w)); }

  /// visit(row) for each row that occurs, in the order in which they first do.
  template <class Visit>
  void for_rows(const Visit& visit) const {
    l_.for_bags(0, l_.bags, [&](i32 b, const ops::bag_range& range) {
      for (i32 e = range.begin; e < range.end; ++e) {
        const i32 row = l_.row(b, e);
        if (row >= 0 && !occurs_before(row, b, e)) visit(row);
      }
    });
  }

 private:
  bool occurs_before(i32 row, i32 bag, i32 entry) const {
    bool found = false;
    l_.for_bags(0, bag + 1, [&](i32 b, const ops::bag_range& range) {
      const i32 end = b == bag ? entry : range.end;
      for (i32 e = range.begin; e < end; ++e) found = found || l_.row(b, e) == row;
    });
    return found;
  }

  ops::lookups l_;
  numbers<Real> dy_;
  numbers<Real> weights_;
  const i32* winners_;
};

template <class Real>
void embedding_bag_gradient(const call& c) {
  const table_gradient<Real> gradient(c);
  const ops::lookups& l = gradient.entries();
  const auto dtable = out<Real>(c, 0);
  for (i64 i = 0; i < i64{l.rows} * l.width; ++i) dtable.set(i, Real(0));
  gradient.for_rows([&](i64 row) {
    for (i64 w = 0; w < l.width; ++w) dtable.set(row * l.width + w, gradient(row, w));
  });
}

template <class Real>
void embedding_bag_weight_gradient(const call& c) {
  const ops::lookups l(c);
  const auto dy = in<Real>(c, 1);
  const auto table = in<Real>(c, 2);
  const auto dweights = out<Real>(c, 0);
  for (i64 e = 0; e < l.entries; ++e) dweights.set(e, Real(0));
  l.for_bags(0, l.bags, [&](i32 b, const ops::bag_range& range) {
    for (i32 e = range.begin; e < range.end; ++e) {
      const i64 row = l.row(b, e);
      Real sum = 0;
      for (i64 w = 0; row >= 0 && w < l.width; ++w) {
        sum += dy[l.element(b) + w * l.step()] * rounded_to(dy.type(), table[row * l.width + w]);
      }
      dweights.set(l.place(b, e), sum);
    }
  });
}

/// embedding_overflow_test and that of bags.
template <class Real>
void lookup_overflow_test(const call& c) {
  const table_gradient<Real> gradient(c);
  bool finite = true;
  gradient.for_rows([&](i64 row) {
    for (i64 w = 0; w < gradient.entries().width; ++w) {
      finite = finite && std::isfinite(gradient.stored(row, w));
    }
  });
  if (!finite) c.output<float>(0)[ops::scaler_overflow] = 1;
}

/// embedding_update and embedding_bag_update.
template <class Real>
void lookup_update(const call& c) {
  const loss_scaling& scaling = c.attr->scaling;
  float* scaler = reinterpret_cast<float*>(c.in[2]);
  if (scaler != nullptr && scaling.skip == skip_rule::step && scaler[ops::scaler_overflow] != 0) {
    return;
  }
  const table_gradient<Real> gradient(c);
  const i64 width = gradient.entries().width;
  if (scaler != nullptr && scaling.skip == skip_rule::tensor) {
    bool finite = true;
    gradient.for_rows([&](i64 row) {
      for (i64 w = 0; w < width; ++w) finite = finite && std::isfinite(gradient.stored(row, w));
    });
    if (!finite) {
      scaler[ops::scaler_overflow] = 1;
      return;
    }
  }
  i32& applied = *c.output<i32>(4);
  const Real scale = scaler == nullptr ? Real(1) : static_cast<Real>(scaler[ops::scaler_scale]);
  const auto apply = [&](const auto& step) {
    gradient.for_rows([&](i64 row) {
      for (i64 w = 0; w < width; ++w) step(row * width + w, gradient.stored(row, w) / scale);
    });
  };
  if (c.attr->update.what == optimizer_kind::sgd) apply(sgd_step<Real>(c, applied));
  if (c.attr->update.what == optimizer_kind::adam) apply(adam_step<Real>(c, applied));
  ++applied;
}

}  // namespace tessera::reference
