#pragma once

// Optimizers, learning-rate schedules, initializers.

#include <tessera/optim/initialize.hpp>
#include <tessera/optim/optimizer.hpp>
#include <tessera/optim/schedule.hpp>
