#pragma once

// The sizes in a signature, by family: how `signature::n` is read and written.
//
// One struct per family with names for the numbers. `of` takes a signature apart, `write` puts one
// together; kernels, prices and checks use only these structs.

#include <tessera/ops/sizes/elements.hpp>
#include <tessera/ops/sizes/images.hpp>
#include <tessera/ops/sizes/losses.hpp>
#include <tessera/ops/sizes/products.hpp>
#include <tessera/ops/sizes/rows.hpp>
#include <tessera/ops/sizes/tables.hpp>
