#pragma once

// Layer templates: the front door of the library.

#include <tessera/nn/activation.hpp>
#include <tessera/nn/attention.hpp>
#include <tessera/nn/branches.hpp>
#include <tessera/nn/builder.hpp>
#include <tessera/nn/bundles.hpp>
#include <tessera/nn/chain.hpp>
#include <tessera/nn/columns.hpp>
#include <tessera/nn/conv.hpp>
#include <tessera/nn/conv_transpose.hpp>
#include <tessera/nn/dense.hpp>
#include <tessera/nn/embedding.hpp>
#include <tessera/nn/endpoints.hpp>
#include <tessera/nn/experts.hpp>
#include <tessera/nn/flatten.hpp>
#include <tessera/nn/gates.hpp>
#include <tessera/nn/grid_lstm.hpp>
#include <tessera/nn/input.hpp>
#include <tessera/nn/loss.hpp>
#include <tessera/nn/multi_recurrent.hpp>
#include <tessera/nn/names.hpp>
#include <tessera/nn/norm.hpp>
#include <tessera/nn/options.hpp>
#include <tessera/nn/pool.hpp>
#include <tessera/nn/quantized.hpp>
#include <tessera/nn/positions.hpp>
#include <tessera/nn/recurrent.hpp>
#include <tessera/nn/repeat.hpp>
#include <tessera/nn/shapes.hpp>
#include <tessera/nn/shared.hpp>
#include <tessera/nn/transformer.hpp>
#include <tessera/nn/upsample.hpp>
