#pragma once

// Running a plan: memory, weights, compiled programs, the interpreter.
//
// A network frame by frame (stream.hpp, weight_store.hpp), and what makes sequences of a network's
// outputs and counts their errors, are included by name:
// beam_search.hpp, ctc_decode.hpp, edit_distance.hpp, bleu.hpp.

#include <tessera/runtime/bases.hpp>
#include <tessera/runtime/batch_writer.hpp>
#include <tessera/runtime/element_access.hpp>
#include <tessera/runtime/interpreter.hpp>
#include <tessera/runtime/memory_block.hpp>
#include <tessera/runtime/metrics.hpp>
#include <tessera/runtime/predictor.hpp>
#include <tessera/runtime/program.hpp>
#include <tessera/runtime/sequence.hpp>
#include <tessera/runtime/weights.hpp>
