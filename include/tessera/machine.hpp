#pragma once

// Machines and their cost formulas; see machine/machine.hpp.

#include <tessera/machine/dots_cost.hpp>
#include <tessera/machine/exchange_cost.hpp>
#include <tessera/machine/machine.hpp>
#include <tessera/machine/matrix_cost.hpp>
#include <tessera/machine/offchip_cost.hpp>
#include <tessera/machine/presets.hpp>
#include <tessera/machine/systolic.hpp>
#include <tessera/machine/vector_cost.hpp>
