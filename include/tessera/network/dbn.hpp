#pragma once

// Deep belief networks: restricted Boltzmann machines on top of each other, and the feed-forward
// network that they become.
//
//   dbn<rbm<784, 500>, rbm<500, 300>>
//     machine<0>         784 - 500, learns the data
//     machine<1>         500 - 300, learns p(h | data) of the one below
//     features<k>        network<input<784>, dense<500>, sigmoid, ...>: k machines upwards
//     classifier<10>     all of them and a dense<10> on top; dense1, dense2, ... by machine
//
// train/dbn.hpp trains the stack and copies its weights. Source: Hinton, Osindero, Teh 2006, A Fast
// Learning Algorithm for Deep Belief Nets; Hinton, Salakhutdinov 2006 (unrolled and fine-tuned).

#include <tessera/network/network.hpp>
#include <tessera/network/rbm.hpp>
#include <tuple>
#include <utility>

namespace tessera {

namespace detail {

/// A network from any number of layers in tuples.
template <class Input, class... Tuples>
struct network_of_tuples;
template <class Input, class... A, class... B>
struct network_of_tuples<Input, std::tuple<A...>, std::tuple<B...>> {
  using type = network<Input, A..., B...>;
};

/// What is wrong with a stack, empty where its machines meet.
template <class... Machines>
constexpr text<360> mistake_in_stack() {
  constexpr rbm_shape units[] = {Machines::units...};
  for (i32 k = 1; k < static_cast<i32>(sizeof...(Machines)); ++k) {
    const text<64> where = spell_all<64>("dbn: machine ", k + 1);
    if (units[k].gaussian) {
      return spell(diagnostic{where, "binary visible units", "gaussian ones",
                              "hidden units are binary: gaussian_visible is for the lowest"});
    }
    if (units[k].visible != units[k - 1].hidden) {
      return spell(
          diagnostic{where, spell_all(units[k - 1].hidden, " visible units, the hidden ones below"),
                     spell_all<64>(units[k].visible), "make the machines meet"});
    }
  }
  return {};
}

template <class... Machines>
inline constexpr text<360> stack_mistake = mistake_in_stack<Machines...>();

template <class... Machines>
using stack_mistake_of =
    network_error<cut<stack_mistake<Machines...>.size>(stack_mistake<Machines...>)>;

}  // namespace detail

/// Machines from the lowest to the highest.
///
/// Errors   machines whose visible units are not the hidden ones of the machine below; gaussian
///          units anywhere but at the bottom (hidden units are binary)
template <machine_type... Machines>
struct dbn {
  static_assert(sizeof...(Machines) > 0, "dbn: expected at least 1 machine");
  using checked = typename detail::network_fits<detail::stack_mistake_of<Machines...>>::type;

  static constexpr i32 size = sizeof...(Machines);
  template <i32 Which>
  using machine = std::tuple_element_t<static_cast<std::size_t>(Which), std::tuple<Machines...>>;

 private:
  static constexpr rbm_shape units[] = {Machines::units...};

  template <class Top, std::size_t... K>
  static auto make(std::index_sequence<K...>) {
    using upwards =
        decltype(std::tuple_cat(std::declval<std::tuple<dense<units[K].hidden>, sigmoid>>()...));
    return typename detail::network_of_tuples<input<units[0].visible>, upwards, Top>::type();
  }
  template <i32 Count, class Top = std::tuple<>>
  using upwards = decltype(make<Top>(std::make_index_sequence<static_cast<std::size_t>(Count)>()));

 public:
  /// p(h | v) of the lowest `Count` machines, one after another.
  template <i32 Count = size>
  using features = upwards<Count>;

  /// The stack as a feed-forward network with a layer of one unit for each class on top, for
  /// softmax_cross_entropy.
  template <i32 Classes>
  using classifier = upwards<size, std::tuple<dense<Classes>>>;
};

template <class S>
concept stack_type = requires {
  { S::size } -> std::convertible_to<i32>;
  typename S::template machine<0>;
};

}  // namespace tessera
