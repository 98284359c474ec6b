#pragma once

// Rows of poplibs' table of benchmarks, and the operations that each of them runs.
//
//   name,kind,params,...,mk1_cycles,...,mk2_cycles,...     columns in any order, others ignored
//
// `params` are the options of poplibs' benchmark programs: "--name value" or "--name=value", a
// shape as {h,w} or a,b,c or one number for all axes. An option left out has the default of those
// programs: halves in (--data-type), sums in f32, batch 1, stride 1, no padding, all passes of a
// convolution or fully connected layer (fwd, bwd, wu), the forward pass of a recurrent one, both of
// a pool and of an embedding, `beta` C added to a product. --padding sets both ends,
// --padding-lower and --padding-upper one. Options that do not change what is computed
// (--fwd-chans-per-group, --cell-order, ...) are read and have no effect here.
//
// What a row becomes, as signatures with how often each runs:
//
//   gemm        product, C added
//   conv, fc    fwd: product, bias added; bwd: data gradient;
//               wu: weight gradient and update, bias gradient and update
//   pooling     max or average pool, its gradient
//   reduction   (square,) sum or maximum
//   lstm, gru   per step: products of input and state, cell; backwards the gradients of all three;
//               gradients of weights over all steps
//   embedding   rows looked up; rows summed and added
//   oct_conv    the four convolutions between high and low resolution, without pools, upsampling
//
// Matrix solvers and Cholesky factors are not modelled; nor is ctc_loss, since the loss here keeps
// a sample on one tile, where poplibs spreads its points in time over many.

#include <tessera/backends/accelerator/price.hpp>
#include <tessera/core/error.hpp>
#include <tessera/ir/signature.hpp>
#include <tessera/ops/reduce.hpp>
#include <tessera/ops/sizes.hpp>
#include <algorithm>
#include <charconv>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace examples {

namespace ts = tessera;

/// One operation of a row, and how often it runs.
struct row_operation {
  ts::signature s;
  ts::i64 runs = 1;
  bool weights_stay = false;  // the second operand is the same in every run: a recurrent layer's
};

struct benchmark_row {
  std::string name;
  std::string kind;
  double published[2] = {0, 0};           // cycles on Mk1 and Mk2; 0 where there is no figure
  ts::i32 tiles = 0;                      // of the chip that are used; 0: all
  std::vector<row_operation> operations;  // empty: not modelled
};

/// The cells of a table with a head row: RFC 4180, with or without \r.
class csv_table {
 public:
  csv_table(const std::string& text, const std::string& path) : path_(path) {
    std::vector<std::vector<std::string>> lines(1, std::vector<std::string>(1));
    bool quoted = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
      const char c = text[i];
      std::string& cell = lines.back().back();
      if (quoted) {
        if (c != '"') {
          cell += c;
        } else if (i + 1 < text.size() && text[i + 1] == '"') {
          cell += '"', ++i;
        } else {
          quoted = false;
        }
      } else if (c == '"' && cell.empty()) {
        quoted = true;
      } else if (c == ',') {
        lines.back().emplace_back();
      } else if (c == '\n') {
        lines.emplace_back(1);
      } else if (c != '\r') {
        cell += c;
      }
    }
    if (quoted) throw ts::error(path + ": a quotation mark that is never closed");
    for (std::vector<std::string>& line : lines) {
      if (line.size() == 1 && line[0].empty()) continue;
      (head_.empty() ? head_ : rows_.emplace_back()) = std::move(line);
      if (!rows_.empty() && rows_.back().size() != head_.size()) {
        throw ts::error(path + ": row " + std::to_string(rows_.size()) + " has " +
                        std::to_string(rows_.back().size()) + " cells, the head has " +
                        std::to_string(head_.size()));
      }
    }
    if (head_.empty()) throw ts::error(path + ": expected a table with a head row, got nothing");
  }

  std::size_t size() const { return rows_.size(); }

  std::size_t column(std::string_view name) const {
    const auto at = std::find(head_.begin(), head_.end(), name);
    if (at == head_.end()) {
      throw ts::error(path_ + ": expected a column \"" + std::string(name) + "\"");
    }
    return static_cast<std::size_t>(at - head_.begin());
  }

  const std::string& cell(std::size_t row, std::size_t column) const { return rows_[row][column]; }

 private:
  std::string path_;
  std::vector<std::string> head_;
  std::vector<std::vector<std::string>> rows_;
};

/// The options of one benchmark.
class benchmark_options {
 public:
  benchmark_options(const std::string& params, std::string where) : where_(std::move(where)) {
    std::vector<std::string> words(1);
    int braces = 0;  // {a, b} is one word
    for (const char c : params) {
      if (c == '{') ++braces;
      if (c == '}') --braces;
      if (c == ' ' && braces <= 0) {
        words.emplace_back();
      } else if (c != ' ' && c != '"' && c != '\'') {
        words.back() += c;
      }
    }
    std::string last;
    for (const std::string& word : words) {
      if (word.empty()) continue;
      if (word.rfind("--", 0) == 0) {
        const std::size_t equals = word.find('=');
        last = word.substr(2, equals == std::string::npos ? equals : equals - 2);
        values_[last] = equals == std::string::npos ? "" : word.substr(equals + 1);
      } else if (!last.empty()) {
        std::string& value = values_[last];
        value += (value.empty() ? "" : " ") + word;
      } else {
        wrong("params: expected options, got \"" + word + "\"");
      }
    }
  }

  bool has(const std::string& name) const { return values_.count(name) != 0; }

  std::string text(const std::string& name, const std::string& otherwise = "") const {
    const auto at = values_.find(name);
    return at == values_.end() ? otherwise : at->second;
  }

  /// Numbers with commas between, in braces or not; nothing where the option is not there.
  std::vector<ts::i32> numbers(const std::string& name) const {
    std::vector<ts::i32> result;
    if (!has(name)) return result;
    std::string rest = text(name);
    if (!rest.empty() && rest.front() == '{') rest.erase(0, 1);
    if (!rest.empty() && rest.back() == '}') rest.pop_back();
    for (std::size_t begin = 0; begin <= rest.size();) {
      const std::size_t end = std::min(rest.find(',', begin), rest.size());
      ts::i32 n = 0;
      const char* const last = rest.data() + end;
      const auto [stop, failed] = std::from_chars(rest.data() + begin, last, n);
      if (failed != std::errc{} || stop != last || n < 0 || n > 100'000'000) {
        wrong("--" + name + ": expected whole numbers from 0 on, got \"" + text(name) + "\"");
      }
      result.push_back(n);
      begin = end + 1;
    }
    return result;
  }

  ts::i32 number(const std::string& name, ts::i32 otherwise) const {
    const std::vector<ts::i32> all = numbers(name);
    return all.empty() ? otherwise : all[0];
  }

  /// A number that must be there and be at least 1.
  ts::i32 size(const std::string& name) const { return positive(name, number(name, 0)); }
  ts::i32 size(const std::string& name, ts::i32 otherwise) const {
    return positive(name, number(name, otherwise));
  }

  /// Height and width: one number is both; a field of one axis is a row.
  struct pair {
    ts::i32 height, width;
  };
  pair shape(const std::string& name, ts::i32 otherwise) const {
    const std::vector<ts::i32> all = numbers(name);
    if (all.empty()) return {otherwise, otherwise};
    if (all.size() > 2) wrong("--" + name + ": expected at most 2 axes, got " + text(name));
    return {all[0], all.back()};
  }

  ts::element type(const std::string& name, const std::string& otherwise = "half") const {
    const std::string t = text(name, otherwise);
    if (t == "half" || t == "float16" || t == "f16") return ts::element::f16;
    if (t == "float" || t == "float32" || t == "f32") return ts::element::f32;
    wrong("--" + name + ": expected half or float, got \"" + t + "\"");
  }

  [[noreturn]] void wrong(const std::string& what) const { throw ts::error(where_ + ": " + what); }

 private:
  ts::i32 positive(const std::string& name, ts::i32 n) const {
    if (n < 1) wrong("--" + name + ": expected a number of at least 1");
    return n;
  }

  std::string where_;
  std::map<std::string, std::string> values_;
};

/// The operations of one row, one after another.
class row_builder {
 public:
  row_builder(const benchmark_options& o, ts::element type) : o_(o), type_(type) {}

  std::vector<row_operation> operations;

  template <class Sizes>
  void add(ts::kind what, const Sizes& sizes, std::initializer_list<ts::i32> slots,
           ts::i64 runs = 1, bool weights_stay = false) {
    row_operation op;
    op.s.what = what;
    sizes.write(op.s);
    for (const ts::i32 slot : slots) op.s.set_type(slot, type_);
    op.runs = runs;
    op.weights_stay = weights_stay;
    operations.push_back(op);
  }

  void elementwise(ts::kind what, ts::i64 count, ts::i64 runs = 1) {
    const bool two = what == ts::kind::add || what == ts::kind::multiply;
    const ts::elementwise_sizes sizes{static_cast<ts::i32>(count)};
    if (two) {
      add(what, sizes, {0, 1, 8}, runs);
    } else {
      add(what, sizes, {0, 8}, runs);
    }
  }

  /// A convolution or fully connected layer: the passes that --single-phase asks for.
  void layer(const ts::conv_sizes& n) {
    const std::string phase = o_.text("single-phase", "all");
    const auto wants = [&](const char* pass) { return phase == "all" || phase == pass; };
    if (!wants("fwd") && !wants("bwd") && !wants("wu")) {
      o_.wrong("--single-phase: expected all, fwd, bwd or wu, got \"" + phase + "\"");
    }
    const bool training = !o_.has("inference-only");
    const bool bias = o_.text("bias", "1") != "0" && o_.text("bias", "true") != "false";
    const ts::bias_sizes biases{n.batch, n.out_channels, n.out_height * n.out_width};
    if (wants("fwd")) {
      add(ts::kind::conv2d, n, {0, 1, 8});
      if (bias) add(ts::kind::bias_add, biases, {0, 1, 8});
    }
    if (training && wants("bwd")) add(ts::kind::conv2d_data_gradient, n, {0, 1, 8});
    if (training && wants("wu")) {
      add(ts::kind::conv2d_weight_gradient, n, {0, 1, 8});
      elementwise(ts::kind::update,
                  ts::i64{n.out_channels} * n.group_in() * n.kernel_height * n.kernel_width);
      if (bias) {
        add(ts::kind::bias_gradient, biases, {1, 8});
        elementwise(ts::kind::update, n.out_channels);
      }
    }
  }

  ts::conv_sizes conv() const {
    const auto field = o_.shape("field", 0);
    const auto kernel = o_.shape("kernel-size", 1);
    const auto stride = o_.shape("stride", 1);
    const auto dilation = o_.shape("kernel-dilation", 1);
    const auto both = o_.shape("padding", 0);
    const auto low = o_.has("padding-lower") ? o_.shape("padding-lower", 0) : both;
    const auto high = o_.has("padding-upper") ? o_.shape("padding-upper", 0) : both;
    const ts::i32 groups = o_.size("conv-groups", 1);
    const auto extent = [&](const char* axis, ts::i32 in, ts::i32 pads, ts::i32 k, ts::i32 d,
                            ts::i32 step) {
      const ts::i32 reach = (k - 1) * d + 1;
      if (in < 1 || k < 1 || step < 1 || d < 1 || in + pads < reach) {
        o_.wrong(std::string("params: a window that does not fit the field's ") + axis);
      }
      return (in + pads - reach) / step + 1;
    };
    return {o_.size("batch-size", 1),
            o_.size("input-channels") * groups,
            field.height,
            field.width,
            o_.size("output-channels") * groups,
            extent("height", field.height, low.height + high.height, kernel.height, dilation.height,
                   stride.height),
            extent("width", field.width, low.width + high.width, kernel.width, dilation.width,
                   stride.width),
            kernel.height,
            kernel.width,
            stride.height,
            stride.width,
            low.height,
            low.width,
            dilation.height,
            dilation.width,
            groups};
  }

  static ts::conv_sizes dense(ts::i32 batch, ts::i32 in, ts::i32 out, ts::i32 groups = 1) {
    return {batch, in * groups, 1, 1, out * groups, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1, groups};
  }

  void gemm() {
    const ts::i32 m = o_.size("m"), k = o_.size("k"), n = o_.size("n");
    add(ts::kind::conv2d, dense(m, k, n), {0, 1, 8});
    if (o_.text("beta", "1") != "0") elementwise(ts::kind::add, ts::i64{m} * n);
  }

  void pooling() {
    const auto field = o_.has("field")
                           ? o_.shape("field", 0)
                           : benchmark_options::pair{o_.size("height"), o_.size("width")};
    const auto kernel = o_.has("kernel") ? o_.shape("kernel", 1) : o_.shape("kernel-size", 1);
    const auto stride = o_.shape("stride", 1);
    const auto both = o_.shape("padding", 0);
    const auto low = o_.has("padding-lower") ? o_.shape("padding-lower", 0) : both;
    const auto high = o_.has("padding-upper") ? o_.shape("padding-upper", 0) : both;
    const std::string type = o_.text("pooling-type", "max");
    if (type != "max" && type != "avg" && type != "sum") {
      o_.wrong("--pooling-type: expected max, avg or sum, got \"" + type + "\"");
    }
    if (kernel.height < 1 || kernel.width < 1 || stride.height < 1 || stride.width < 1 ||
        field.height + low.height + high.height < kernel.height ||
        field.width + low.width + high.width < kernel.width) {
      o_.wrong("params: a window that does not fit the field");
    }
    const ts::pool_sizes n{
        o_.size("batch-size", 1),
        o_.size("channels"),
        field.height,
        field.width,
        (field.height + low.height + high.height - kernel.height) / stride.height + 1,
        (field.width + low.width + high.width - kernel.width) / stride.width + 1,
        kernel.height,
        kernel.width,
        stride.height,
        stride.width,
        low.height,
        low.width,
        high.height,
        high.width,
        1,
        1,
        1};
    const bool max = type == "max";
    add(max ? ts::kind::max_pool2d : ts::kind::avg_pool2d, n, {0, 8});
    if (o_.has("inference-only")) return;
    add(max ? ts::kind::max_pool2d_gradient : ts::kind::avg_pool2d_gradient, n, {0, 8});
  }

  void reduction() {
    const std::vector<ts::i32> shape = o_.numbers("shape");
    const std::vector<ts::i32> dims = o_.numbers("dims");
    if (shape.empty()) o_.wrong("--shape: expected extents");
    ts::i64 kept = 1, gone = 1;
    for (std::size_t i = 0; i < shape.size(); ++i) {
      const bool reduced =
          std::find(dims.begin(), dims.end(), static_cast<ts::i32>(i)) != dims.end();
      (reduced ? gone : kept) *= shape[i];
    }
    for (const ts::i32 d : dims) {
      if (d >= static_cast<ts::i32>(shape.size())) o_.wrong("--dims: expected axes of --shape");
    }
    if (kept * gone < 1 || kept * gone > 2'000'000'000)
      o_.wrong("--shape: expected 1 to 2e9 elements");
    const std::string operation = o_.text("operation", "ADD");
    if (operation == "SQUARE_ADD") elementwise(ts::kind::square, kept * gone);
    const bool largest = operation == "MAX" || operation == "MIN";
    ts::axes_sizes n;  // of how many axes each was makes no difference to the price
    n.axes = 2;
    n.extent[0] = static_cast<ts::i32>(kept), n.extent[1] = static_cast<ts::i32>(gone);
    n.has[0] = 1;
    add(largest ? ts::kind::reduce_amax : ts::kind::reduce_sum, n, {0, 8});
  }

  /// An LSTM (4 gates) or GRU (3 gates) over `sequence-size` steps.
  void recurrent(ts::i32 gates) {
    const ts::i32 batch = o_.size("batch-size", 1), steps = o_.size("sequence-size");
    const ts::i32 in = o_.size("input-size"), out = o_.size("output-size");
    const std::string phase = o_.text("phase", "fwd");
    if (phase != "all" && phase != "fwd" && phase != "bwd" && phase != "wu") {
      o_.wrong("--phase: expected all, fwd, bwd or wu, got \"" + phase + "\"");
    }
    const ts::i32 wide = gates * out;
    const bool lstm = gates == 4;
    const ts::cell_sizes cell{batch, out};
    add(ts::kind::dense, ts::dense_sizes{batch, in, wide}, {0, 1, 8}, steps, true);
    add(ts::kind::dense, ts::dense_sizes{batch, out, wide}, {0, 1, 8}, steps, true);
    if (lstm) {
      elementwise(ts::kind::add, ts::i64{batch} * wide, steps);
      add(ts::kind::lstm_cell, cell, {0, 1, 8, 9, 10}, steps);
    } else {
      add(ts::kind::gru_cell, cell, {0, 1, 2, 8, 9}, steps);
    }
    if (phase == "fwd") return;
    // Backwards a step goes through the cell and both products.
    if (lstm) {
      add(ts::kind::lstm_cell_gradient, cell, {0, 1, 2, 3, 4, 8, 9}, steps);
    } else {
      add(ts::kind::gru_cell_gradient, cell, {0, 1, 2, 3, 8, 9, 10}, steps);
    }
    add(ts::kind::dense_data_gradient, ts::dense_sizes{batch, out, wide}, {0, 1, 8}, steps, true);
    add(ts::kind::dense_data_gradient, ts::dense_sizes{batch, in, wide}, {0, 1, 8}, steps, true);
    if (phase == "bwd") return;
    // Gradients of weights: a product of each step, added to those of the steps before.
    add(ts::kind::dense_weight_gradient, ts::dense_sizes{batch, in, wide}, {0, 1, 8}, steps);
    elementwise(ts::kind::add, ts::i64{in} * wide, steps);
    add(ts::kind::dense_weight_gradient, ts::dense_sizes{batch, out, wide}, {0, 1, 8}, steps);
    elementwise(ts::kind::add, ts::i64{out} * wide, steps);
    add(ts::kind::bias_gradient, ts::bias_sizes{batch, wide, 1}, {1, 8}, steps);
  }

  void embedding() {
    const std::vector<ts::i32> shape = o_.numbers("shape");
    if (shape.size() != 2 || shape[0] < 1 || shape[1] < 1)
      o_.wrong("--shape: expected {rows,width}");
    const std::string pass = o_.text("pass", "both");
    for (const ts::i32 indices : o_.numbers("num-indices")) {
      const ts::embedding_sizes n{1, indices, shape[0], shape[1]};
      if (pass != "wu") add(ts::kind::embedding, n, {1, 8});
      if (pass == "fwd") continue;
      add(ts::kind::embedding_gradient, n, {1, 8});
      elementwise(ts::kind::update, ts::i64{shape[0]} * shape[1]);
    }
  }

  /// Octave convolution (Chen et al. 2019): a share `alpha` of channels at half the resolution.
  void oct_conv() {
    ts::conv_sizes n = conv();
    double alpha = 0;
    const std::string text = o_.text("alpha", "0.5");
    const auto [stop, failed] = std::from_chars(text.data(), text.data() + text.size(), alpha);
    if (failed != std::errc{} || stop != text.data() + text.size() || alpha < 0 || alpha > 1) {
      o_.wrong("--alpha: expected a share from 0 to 1, got \"" + text + "\"");
    }
    const auto part = [&](ts::i32 channels) {
      return static_cast<ts::i32>(static_cast<double>(channels) * alpha);
    };
    const ts::i32 in_low = part(n.in_channels), out_low = part(n.out_channels);
    const auto between = [&](ts::i32 in, ts::i32 out, bool low) {
      ts::conv_sizes c = n;
      c.in_channels = in, c.out_channels = out;
      if (low) {
        c.in_height = (n.in_height + 1) / 2, c.in_width = (n.in_width + 1) / 2;
        c.out_height = (n.out_height + 1) / 2, c.out_width = (n.out_width + 1) / 2;
      }
      if (in > 0 && out > 0) layer(c);
    };
    between(n.in_channels - in_low, n.out_channels - out_low, false);
    between(n.in_channels - in_low, out_low, true);
    between(in_low, n.out_channels - out_low, true);
    between(in_low, out_low, true);
  }

 private:
  const benchmark_options& o_;
  ts::element type_;
};

/// The operations of a row; none where its kind is not modelled.
inline std::vector<row_operation> operations_of(const std::string& kind, const std::string& params,
                                                const std::string& where) {
  constexpr std::string_view modelled[] = {"conv", "fc",  "gemm",      "pooling", "reduction",
                                           "lstm", "gru", "embedding", "oct_conv"};
  if (std::find(std::begin(modelled), std::end(modelled), kind) == std::end(modelled)) return {};
  const benchmark_options o(params, where);
  row_builder b(o, o.type(kind == "reduction" ? "type" : "data-type",
                          kind == "reduction" ? "float" : "half"));
  if (kind == "conv") {
    b.layer(b.conv());
  } else if (kind == "fc") {
    b.layer(row_builder::dense(o.size("batch-size", 1), o.size("input-size"), o.size("output-size"),
                               o.size("num-groups", 1)));
  } else if (kind == "gemm") {
    b.gemm();
  } else if (kind == "pooling") {
    b.pooling();
  } else if (kind == "reduction") {
    b.reduction();
  } else if (kind == "lstm") {
    b.recurrent(4);
  } else if (kind == "gru") {
    b.recurrent(3);
  } else if (kind == "embedding") {
    b.embedding();
  } else if (kind == "oct_conv") {
    b.oct_conv();
  }
  return b.operations;
}

/// All rows of a table. Throws tessera::error with one line on what is wrong.
inline std::vector<benchmark_row> read_benchmark_rows(const std::string& text,
                                                      const std::string& path) {
  const csv_table table(text, path);
  const std::size_t name = table.column("name"), kind = table.column("kind");
  const std::size_t params = table.column("params");
  const std::size_t cycles[] = {table.column("mk1_cycles"), table.column("mk2_cycles")};
  std::vector<benchmark_row> rows(table.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    benchmark_row& row = rows[i];
    row.name = table.cell(i, name);
    row.kind = table.cell(i, kind);
    const std::string where = path + ": " + row.name;
    for (int m = 0; m < 2; ++m) {
      const std::string& cell = table.cell(i, cycles[m]);
      if (cell.empty()) continue;
      const auto [stop, failed] =
          std::from_chars(cell.data(), cell.data() + cell.size(), row.published[m]);
      if (failed != std::errc{} || stop != cell.data() + cell.size() || !(row.published[m] > 0) ||
          !(row.published[m] < 1e18)) {
        throw ts::error(where + ": cycles: expected a number above 0, got \"" + cell + "\"");
      }
    }
    row.operations = operations_of(row.kind, table.cell(i, params), where);
    if (row.operations.empty()) continue;
    row.tiles = benchmark_options(table.cell(i, params), where).number("tiles-per-ipu", 0);
  }
  return rows;
}

/// Cycles that a row takes on `m`, or on as many of its tiles as the row uses.
inline double predicted_cycles(const benchmark_row& row, ts::machine m) {
  if (row.tiles > 0 && row.tiles < m.tiles) m.tiles = row.tiles;
  double cycles = 0;
  for (const row_operation& op : row.operations) {
    const ts::i64 kept = op.weights_stay ? op.runs - 1 : 0;
    cycles += static_cast<double>(ts::accelerator::price_of_runs(m, op.s, op.runs, kept).cycles());
  }
  return cycles;
}

}  // namespace examples
