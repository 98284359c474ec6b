// How many parameters models have, beside the numbers that papers and other libraries state; and
// what their weights are called.

#include <tessera/models.hpp>

#include <support/catch.hpp>

#include <tessera/ir/names.hpp>
#include <tessera/network/make.hpp>
#include <set>
#include <string>

using namespace tessera;
using namespace tessera::models;

namespace {

/// The forward graph of a model. Made at run time: nothing is planned.
template <class Input, class Model>
graph graph_of(purpose why = purpose::training) {
  const graph g = make_forward<network<Input, Model>, void>(1, why);
  INFO(spell(g.wrong).view());
  REQUIRE(!g.wrong.wrong());
  return g;
}

i64 count_parameters(const graph& g) {
  i64 n = 0;
  for (const tensor& t : g.tensors) {
    if (t.what == role::parameter && t.of < 0) n += t.dims.count();
  }
  return n;
}

template <class Input, class Model>
i64 parameters() {
  return count_parameters(graph_of<Input, Model>());
}

shape shape_out(const graph& g, i32 which = 0) { return g.tensors[g.outputs[which]].sample(); }

std::set<std::string> weight_names(const graph& g) {
  std::set<std::string> names;
  for (const tensor& t : g.tensors) {
    if ((t.what != role::parameter && t.what != role::statistic) || t.of >= 0) continue;
    for (i32 slice = 0; slice < slices_of(g, t.name.scope); ++slice) {
      names.emplace(full_name(g, t.name, slice).view());
    }
  }
  return names;
}

using large = image<3, 224, 224>;
using small = image<3, 32, 32>;

}  // namespace

TEST_CASE("perceptrons have (in + 1) out parameters a layer", "[models]") {
  // LeCun et al. 1998, section III.C: 28x28-300-100-10 has 266,610 free parameters.
  CHECK(parameters<image<1, 28, 28>, mlp<300, 100, 10>>() == 266'610);
  CHECK(parameters<input<784>, mlp_with<tessera::tanh, 300, 10>>() == 785 * 300 + 301 * 10);
  const graph g = graph_of<image<1, 28, 28>, deep_mlp<100, 64, 10>>();
  CHECK(count_parameters(g) == 785 * 64 + 98 * 65 * 64 + 65 * 10);
  CHECK(g.operations.size() < 20);  // 98 of the layers are one
  const auto names = weight_names(g);
  CHECK(names.size() == 200);
  CHECK(names.count("hidden.97.fc.weight") == 1);
}

TEST_CASE("LeNet-5 has 61,706 parameters", "[models]") {
  CHECK(parameters<image<1, 28, 28>, lenet5<>>() == 61'706);
  CHECK(parameters<image<1, 28, 28>, lenet5<10, relu, max_pool<2>>>() == 61'706);
}

TEST_CASE("AlexNet has torchvision's parameters in one tower, the paper's in two", "[models]") {
  const graph g = graph_of<large, alexnet<>>();
  CHECK(count_parameters(g) == 61'100'840);
  CHECK(shape_out(g) == shape(1000));
  CHECK(weight_names(g).count("classifier.6.bias") == 1);
  CHECK(weight_names(g).count("features.10.weight") == 1);
  CHECK(parameters<image<3, 227, 227>, alexnet_towers<>>() == 60'965'224);
}

TEST_CASE("VGG has torchvision's parameters at each depth", "[models]") {
  CHECK(parameters<large, vgg<11>>() == 132'863'336);
  CHECK(parameters<large, vgg<13>>() == 133'047'848);
  CHECK(parameters<large, vgg<19>>() == 143'667'240);
  const graph g = graph_of<large, vgg16<>>();
  CHECK(count_parameters(g) == 138'357'544);
  const auto names = weight_names(g);
  CHECK(names.size() == 32);
  for (const char* name : {"features.0.weight", "features.7.bias", "features.28.weight",
                           "classifier.0.weight", "classifier.6.weight"}) {
    CHECK(names.count(name) == 1);
  }
}

TEST_CASE("GoogLeNet has BVLC's parameters as the paper has it, torchvision's normalized",
          "[models]") {
  const graph g = graph_of<large, googlenet<>>();
  CHECK(count_parameters(g) == 6'998'552);
  CHECK(shape_out(g) == shape(1000));
  CHECK(weight_names(g).count("inception3a.branch2.0.conv.weight") == 1);
  const graph with_heads = graph_of<large, googlenet<1000, true>>();
  CHECK(count_parameters(with_heads) == 13'378'280);
  CHECK(with_heads.outputs.size() == 3);
  for (i32 i = 0; i < 3; ++i) CHECK(shape_out(with_heads, i) == shape(1000));
  using normalized = inception_v1_normalized;
  CHECK(parameters<large, googlenet<1000, false, normalized>>() == 6'624'904);
  const graph theirs = graph_of<large, googlenet<1000, true, normalized>>();
  CHECK(count_parameters(theirs) == 13'004'888);
  CHECK(weight_names(theirs).count("inception5b.branch4.1.bn.running_var") == 1);
  CHECK(weight_names(theirs).count("aux2.conv.conv.weight") == 1);
}

TEST_CASE("residual networks have torchvision's parameters and names", "[models]") {
  CHECK(parameters<large, resnet18<>>() == 11'689'512);
  CHECK(parameters<large, resnet34<>>() == 21'797'672);
  CHECK(parameters<large, resnet<101>>() == 44'549'160);
  CHECK(parameters<large, resnet<152>>() == 60'192'808);
  const graph g = graph_of<large, resnet50<>>();
  CHECK(count_parameters(g) == 25'557'032);
  const auto names = weight_names(g);
  CHECK(names.size() == 161 + 2 * 53);  // parameters, and running statistics of 53 normalizations
  for (const char* name : {"conv1.weight", "bn1.running_mean", "layer1.0.downsample.0.weight",
                           "layer1.0.downsample.1.running_var", "layer3.5.conv3.weight",
                           "layer4.2.bn3.bias", "fc.weight", "fc.bias"}) {
    INFO(name);
    CHECK(names.count(name) == 1);
  }
}

TEST_CASE("shortcuts A have no parameters", "[models]") {
  // What shortcuts B have more: a 1x1 convolution and two numbers a channel at each change of
  // shape.
  const i64 basic = 64 * 128 + 256 + 128 * 256 + 512 + 256 * 512 + 1024;
  CHECK(parameters<large, resnet<18, 1000, 64, shortcut::a>>() == 11'689'512 - basic);
  CHECK(parameters<large, resnet<34, 1000, 64, shortcut::a>>() == 21'797'672 - basic);
  const i64 bottleneck = 64 * 256 + 512 + 256 * 512 + 1024 + 512 * 1024 + 2048 + 1024 * 2048 + 4096;
  CHECK(parameters<large, resnet<50, 1000, 64, shortcut::a>>() == 25'557'032 - bottleneck);
}

TEST_CASE("residual networks for CIFAR have the paper's parameters", "[models]") {
  // He et al. state 0.27 M for 20 layers and 0.85 M for 56.
  CHECK(parameters<small, cifar_resnet<20>>() == 269'722);
  CHECK(parameters<small, cifar_resnet<56>>() == 853'018);
  CHECK(parameters<small, cifar_resnet<20, 10, 16, shortcut::b>>() == 272'474);
  CHECK(parameters<small, cifar_resnet<56, 10, 16, shortcut::b>>() == 855'770);
  CHECK(parameters<small, cifar_resnet<8, 10, 16, shortcut::b>>() == 78'042);
  const graph g = graph_of<small, cifar_resnet<8>>();
  CHECK(count_parameters(g) == 75'290);
  CHECK(weight_names(g).count("layer3.0.conv2.weight") == 1);
  CHECK(graph_of<small, cifar_resnet<56>>().operations.size() ==
        graph_of<small, cifar_resnet<20>>().operations.size());
}

TEST_CASE("SqueezeNet has the authors' parameters and names", "[models]") {
  const graph g = graph_of<image<3, 227, 227>, squeezenet<>>();
  CHECK(count_parameters(g) == 1'248'424);
  CHECK(shape_out(g) == shape(1000));
  const auto names = weight_names(g);
  CHECK(names.size() == 52);
  CHECK(names.count("fire9/conv3x3_2.bias") == 1);
}

TEST_CASE("U-Net has the paper's parameters and sizes, with and without padding", "[models]") {
  const graph paper = graph_of<image<1, 572, 572>, unet<2, 64, 4, 0>>();
  CHECK(count_parameters(paper) == 31'030'658);
  CHECK(shape_out(paper) == shape(2, 388, 388));
  const graph padded = graph_of<image<1, 512, 512>, unet<>>();
  CHECK(count_parameters(padded) == 31'030'658);
  CHECK(shape_out(padded) == shape(2, 512, 512));
  // 500 -> 250 -> 125 -> 62 -> 31 -> 62 -> 124: one row and column are cropped
  CHECK(shape_out(graph_of<image<1, 500, 500>, unet<>>()) == shape(2, 496, 496));
}

TEST_CASE("an autoencoder gives images of the size it gets", "[models]") {
  const graph g = graph_of<image<1, 28, 28>, conv_autoencoder<1, 4, 6>>();
  CHECK(shape_out(g) == shape(1, 28, 28));
  const i64 down = 4 * (9 + 1) + 6 * (4 * 9 + 1);
  const i64 up = 6 * 4 * 9 + 4 + 4 * 16 + 1;
  CHECK(count_parameters(g) == down + up);
  CHECK(weight_names(g) == std::set<std::string>{"encoder.0.weight", "encoder.0.bias",
                                                 "encoder.2.weight", "encoder.2.bias",
                                                 "decoder.0.weight", "decoder.0.bias",
                                                 "decoder.2.weight", "decoder.2.bias"});
}

TEST_CASE("a character model has the parameters of PyTorch's modules", "[models]") {
  // nn.LSTM: 4 hidden (in + hidden) weights and two biases of 4 hidden a layer
  const i64 one = 65 * 64 + 4 * 128 * (64 + 128 + 2) + 129 * 65;
  const graph g = graph_of<tokens<64>, char_lstm<65>>();
  CHECK(count_parameters(g) == one);
  CHECK(parameters<tokens<64>, char_lstm<65, 64, 128, 2>>() == one + 4 * 128 * (128 + 128 + 2));
  CHECK(weight_names(g).count("lstm.weight_hh_l0") == 1);
  CHECK(weight_names(g).count("out.bias") == 1);
}
