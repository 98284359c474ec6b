// Golden checks of losses.

#include <tessera/ops/style.hpp>
#include <catalogue/goldens/case_graph.hpp>

namespace tessera::testing {

namespace {

reduction read_reduction(attribute_reader& attrs) {
  return attrs.choice<reduction>("reduction", {{"mean", reduction::mean},
                                               {"sum", reduction::sum},
                                               {"none", reduction::none},
                                               {"batchmean", reduction::batch_mean}});
}

i32 batch_of(const golden_case& c, const std::string& input) {
  const shape dims = c.tensor("inputs", input).dims_as_they_are();
  return dims.rank > 0 ? dims[0] : 1;
}

/// A loss over elements: x is called as the case calls it.
void check_elements(const golden_case& c, findings& f, kind what, const std::string& x_name) {
  check_operation(c, f, batch_of(c, x_name), [&](case_graph& net, attribute_reader& attrs) {
    loss_attributes attr;
    attr.reduce = read_reduction(attrs);
    if (what == kind::smooth_l1) attr.delta = attrs.get<float>("beta");
    if (what == kind::huber) attr.delta = attrs.get<float>("delta");
    if (what == kind::kl_div) attr.log_target = attrs.get<bool>("log_target");
    if (what == kind::binary_hinge || what == kind::hinge_embedding) {
      attr.margin = attrs.get<float>("margin");
    }
    if (what == kind::binary_hinge) attr.power = attrs.get<bool>("squared") ? 2 : 1;
    const i32 x = net.input(x_name);
    const shape dims = net.g.tensors[x].dims;
    const i32 target = net.input("target", dims, role::target);
    ops::element_loss_operands more;
    if (c.has("inputs", "weight")) more.weights = net.input("weight", dims, role::constant);
    if (c.has("inputs", "pos_weight")) {
      more.positive_weights =
          net.input("pos_weight", c.tensor("inputs", "pos_weight").dims_as_they_are(),
                    role::constant, element::f32, false);
    }
    net.output("loss", ops::element_loss(net.g, what, x, target, attr, more));
  });
}

/// Class weights of a case that has them, else -1.
i32 class_weights(case_graph& net, const golden_case& c, i32 classes) {
  if (!c.has("inputs", "class_weight")) return -1;
  return net.input("class_weight", shape(classes), role::constant, element::f32, false);
}

/// A loss whose targets are classes.
void check_classes(const golden_case& c, findings& f, kind what, const std::string& x_name) {
  check_operation(c, f, batch_of(c, x_name), [&](case_graph& net, attribute_reader& attrs) {
    loss_attributes attr;
    attr.reduce = read_reduction(attrs);
    attr.label_smoothing = attrs.get<float>("label_smoothing", 0.0f);
    attr.ignore_index = attrs.get<i32>("ignore_index", -100);
    if (what == kind::multiclass_hinge) {
      attr.margin = attrs.get<float>("margin");
      attr.power = attrs.get<i32>("p");
    }
    attrs.get<bool>("class_weights", false);
    attrs.get<bool>("soft_targets", false);
    const i32 x = net.input(x_name);
    const shape target = c.tensor("inputs", "target").dims_as_they_are();
    const i32 t = net.input("target", target, role::target, element::int32);
    const i32 weights = class_weights(net, c, net.g.tensors[x].dims[1]);
    net.output("loss", ops::class_loss(net.g, what, x, t, weights, attr, "golden"));
  });
}

void check_soft_cross_entropy(const golden_case& c, findings& f) {
  check_operation(c, f, batch_of(c, "x"), [&](case_graph& net, attribute_reader& attrs) {
    loss_attributes attr;
    attr.reduce = read_reduction(attrs);
    attr.label_smoothing = attrs.get<float>("label_smoothing", 0.0f);
    attrs.get<bool>("soft_targets");
    attrs.get<bool>("class_weights", false);
    const i32 x = net.input("x");
    const shape dims = net.g.tensors[x].dims;
    const i32 t = net.input("target", dims, role::target);
    const i32 weights = class_weights(net, c, dims[1]);
    net.output("loss", ops::distribution_loss(net.g, kind::soft_cross_entropy, x, t, weights, attr,
                                              "golden"));
  });
}

}  // namespace

void check_mse(const golden_case& c, findings& f) { check_elements(c, f, kind::mse, "x"); }
void check_l1(const golden_case& c, findings& f) { check_elements(c, f, kind::l1, "x"); }
void check_smooth_l1(const golden_case& c, findings& f) {
  check_elements(c, f, kind::smooth_l1, "x");
}
void check_huber(const golden_case& c, findings& f) { check_elements(c, f, kind::huber, "x"); }
void check_bce_with_logits(const golden_case& c, findings& f) {
  check_elements(c, f, kind::bce_with_logits, "x");
}
void check_bce(const golden_case& c, findings& f) { check_elements(c, f, kind::bce, "p"); }
void check_kl_div(const golden_case& c, findings& f) {
  check_elements(c, f, kind::kl_div, "log_q");
}
void check_binary_hinge(const golden_case& c, findings& f) {
  check_elements(c, f, kind::binary_hinge, "x");
}
void check_hinge_embedding(const golden_case& c, findings& f) {
  check_elements(c, f, kind::hinge_embedding, "x");
}

void check_cross_entropy(const golden_case& c, findings& f) {
  if (c.attributes().get<bool>("soft_targets", false)) return check_soft_cross_entropy(c, f);
  check_classes(c, f, kind::softmax_cross_entropy, "x");
}
void check_nll(const golden_case& c, findings& f) { check_classes(c, f, kind::nll, "log_p"); }
void check_multiclass_hinge(const golden_case& c, findings& f) {
  check_classes(c, f, kind::multiclass_hinge, "x");
}

void check_cosine_embedding(const golden_case& c, findings& f) {
  check_operation(c, f, batch_of(c, "a"), [&](case_graph& net, attribute_reader& attrs) {
    loss_attributes attr;
    attr.reduce = read_reduction(attrs);
    attr.margin = attrs.get<float>("margin");
    const i32 a = net.input("a");
    const i32 b = net.input("b");
    const i32 t = net.input("target", shape(net.g.tensors[a].dims[0]), role::target);
    net.output("loss", ops::cosine_embedding(net.g, a, b, t, attr));
  });
}

void check_triplet(const golden_case& c, findings& f) {
  check_operation(c, f, batch_of(c, "a"), [&](case_graph& net, attribute_reader& attrs) {
    loss_attributes attr;
    attr.reduce = read_reduction(attrs);
    attr.margin = attrs.get<float>("margin");
    attr.power = attrs.get<i32>("p");
    attr.epsilon = attrs.get<float>("eps");
    const i32 a = net.input("a");
    const i32 p = net.input("p");
    const i32 n = net.input("n");
    net.output("loss", ops::triplet(net.g, a, p, n, attr));
  });
}

/// alpha (T^2 mean KL(teacher || student)) + (1 - alpha) mean cross entropy. The case shows both
/// parts without their share too: of an input that nothing is learned from.
void check_distillation(const golden_case& c, findings& f) {
  check_operation(c, f, batch_of(c, "student"), [&](case_graph& net, attribute_reader& attrs) {
    graph& g = net.g;
    const float temperature = attrs.get<float>("temperature");
    const float alpha = attrs.get<float>("alpha");
    const i32 student = net.input("student");
    const shape dims = g.tensors[student].dims;
    const i32 teacher = net.input("teacher", dims, role::target);
    const i32 target = net.input("target", shape(dims[0]), role::target, element::int32);
    const auto soft = [&](i32 logits, float share) {
      return ops::distribution_loss(
          g, kind::distillation, logits, teacher, -1,
          {.weight = share * temperature * temperature, .temperature = temperature}, "golden");
    };
    const auto hard = [&](i32 logits, float share) {
      return ops::softmax_cross_entropy(g, logits, target, -1, {.weight = share});
    };
    const i32 seen = add_tensor(g, dims, {.batch_last = net.batch_last()});
    net.given(seen, c.tensor("inputs", "student").values);
    net.output("soft", soft(seen, 1));
    net.output("hard", hard(seen, 1));
    net.output_sum("loss", {soft(student, alpha), hard(student, 1 - alpha)});
  });
}

void check_style(const golden_case& c, findings& f) {
  check_operation(c, f, batch_of(c, "x"), [&](case_graph& net, attribute_reader&) {
    graph& g = net.g;
    const i32 x = net.input("x");
    const i32 of_x = ops::gram(g, x, layer);
    const i32 of_style = ops::gram(g, net.input("style"), {"golden", 1, ""});
    const i32 loss = ops::element_loss(g, kind::mse, of_x, of_style, {});
    const ops::variation_losses tv =
        ops::total_variation(g, x, {.reduce = reduction::sum}, {"golden", 2, ""});
    net.output("gram", of_x);
    net.output("style_loss", loss);
    net.output_sum("tv", {tv.down, tv.across});
  });
}

void check_ctc(const golden_case& c, findings& f) {
  const shape logits = c.tensor("inputs", "logits").dims_as_they_are();
  check_operation(c, f, logits[1], [&](case_graph& net, attribute_reader& attrs) {
    loss_attributes attr;
    attr.blank = attrs.get<i32>("blank");
    attr.reduce = read_reduction(attrs);
    attr.zero_infinity = attrs.get<bool>("zero_infinity");
    for (const char* const extent : {"T", "N", "C"}) attrs.ignore(extent);
    const i32 z = net.sequence("logits");
    const auto whole_numbers = [&](const char* name) {
      return net.input(name, c.tensor("inputs", name).dims_as_they_are(), role::target,
                       element::int32);
    };
    const i32 labels = whole_numbers("targets");
    const i32 frames = whole_numbers("input_lengths");
    const i32 counts = whole_numbers("target_lengths");
    net.output("loss", ops::ctc(net.g, z, labels, frames, counts, attr));
  });
}

}  // namespace tessera::testing
