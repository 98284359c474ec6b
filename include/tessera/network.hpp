#pragma once

// Networks as types, and the plans of their steps as constants.

#include <tessera/network/job.hpp>
#include <tessera/network/network.hpp>
#include <tessera/network/options.hpp>
#include <tessera/network/precision.hpp>
