#pragma once

// The library: networks, training, the host backend and the accelerator model. Needs the standard
// library and xsimd. Data sets, models, reports and Eigen maps are included by name: data.hpp,
// models.hpp, report.hpp.

#include <tessera/network/job.hpp>  // not network.hpp: a line less in the errors of networks
#include <tessera/optim.hpp>
#include <tessera/runtime.hpp>
#include <tessera/runtime/backends.hpp>
#include <tessera/runtime/price.hpp>
#include <tessera/runtime/price_on.hpp>
#include <tessera/train.hpp>
