// Golden checks of attention layers: several heads, a transformer's encoder layer, additive
// attention; the layers' own code with sizes as data.

#include <tessera/nn/transformer.hpp>
#include <catalogue/goldens/case_graph.hpp>

#include <algorithm>

namespace tessera::testing {

namespace {

/// "self_attn" and "out_proj.weight" -> "out_proj_weight"; "norm1" and "weight" -> "norm1_weight".
std::string joined_name(const tensor_name& name) {
  std::string joined = name.layer;
  joined = joined == "self_attn" ? name.part : joined + "_" + name.part;
  std::replace(joined.begin(), joined.end(), '.', '_');
  return joined;
}

/// Puts the masks that a case has behind the values of a bundle, and asks for them.
void add_masks(case_graph& net, const golden_case& c, bundle& x, attention_options& o) {
  if (c.has("inputs", "key_padding_mask")) {
    const shape dims = c.tensor("inputs", "key_padding_mask").dims_as_they_are();
    x.items[x.size++] = {net.input("key_padding_mask", dims, role::input, element::uint8)};
    o.key_mask = true;
  }
  if (c.has("inputs", "attn_mask")) {
    const golden_tensor mask = c.tensor("inputs", "attn_mask");
    const element type = mask.boolean ? element::uint8 : element::f32;
    x.items[x.size++] = {
        net.input("attn_mask", mask.dims_as_they_are(), role::input, type, mask.dims.size() > 2)};
    o.score_mask = true;
  }
}

i32 batch_of(const golden_case& c, const char* input) {
  return static_cast<i32>(c.tensor("inputs", input).dims[0]);
}

}  // namespace

void check_multi_head_attention(const golden_case& c, findings& f) {
  check_operation(c, f, batch_of(c, "q"), [&](case_graph& net, attribute_reader& attrs) {
    builder b(net.g, batch_of(c, "q"), purpose::training);
    attrs.get<i32>("embed");
    attention_options o;
    o.causal = attrs.get<bool>("causal");
    o.weights = true;  // layers of an encoder attend without
    o.cross = !attrs.get<bool>("self_attention");
    o.bias = c.has("weights", "in_proj_bias");
    bundle x = value{net.input("q")};
    if (o.cross) x.items[x.size++] = {net.input("kv")};
    add_masks(net, c, x, o);
    const bundle y =
        detail::build_multi_head(b, x, attrs.get<i32>("heads"), o, {"self_attn", 0, ""});
    if (y.size != 2) throw error(std::string(spell(net.g.wrong).view()));
    net.adopt_weights(joined_name);
    net.output("y", y.items[0].id);
    net.output("p", y.items[1].id);
  });
}

void check_encoder_layer(const golden_case& c, findings& f) {
  check_operation(c, f, batch_of(c, "x"), [&](case_graph& net, attribute_reader& attrs) {
    builder b(net.g, batch_of(c, "x"), purpose::training);
    attrs.get<i32>("embed");
    attention_options o;
    o.causal = attrs.get<bool>("causal");
    o.norm_first = attrs.get<bool>("norm_first");
    o.epsilon = attrs.get<float>("ln_eps");
    const std::map<std::string, kind> functions{{"relu", kind::relu}, {"gelu", kind::gelu_erf}};
    o.function = attrs.choice("activation", functions);
    bundle x = value{net.input("x")};
    add_masks(net, c, x, o);
    const value y =
        detail::build_encoder_layer(b, x, attrs.get<i32>("heads"), attrs.get<i32>("ff"), o);
    if (!y.valid()) throw error(std::string(spell(net.g.wrong).view()));
    net.adopt_weights(joined_name);
    net.output("y", y.id);
  });
}

void check_additive_attention(const golden_case& c, findings& f) {
  check_operation(c, f, batch_of(c, "q"), [&](case_graph& net, attribute_reader&) {
    graph& g = net.g;
    builder b(g, batch_of(c, "q"), purpose::training);
    const auto weight = [&](const char* name) {
      return c.has("weights", name) ? net.weight(name, c.tensor("weights", name).dims_as_they_are())
                                    : -1;
    };
    const value q{net.input("q")};
    const value k{net.input("k")};
    ops::attention_masks masks;
    if (c.has("inputs", "mask")) {
      const shape dims = c.tensor("inputs", "mask").dims_as_they_are();
      masks.mask[0] = net.input("mask", dims, role::input, element::uint8);
    }
    const value query = detail::dense_rows(b, q, weight("Wq"), -1, layer);
    const value keys = detail::dense_rows(b, k, weight("Wk"), weight("b"), layer);
    const ops::attention_outputs y =
        ops::additive_attention(g, query.id, keys.id, weight("v"), k.id, masks, layer);
    net.output("context", y.y);
    net.output("alpha", y.weights);
  });
}

}  // namespace tessera::testing
