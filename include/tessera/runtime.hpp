#pragma once

// Running a plan: memory, weights, compiled programs, the interpreter.

#include <tessera/runtime/bases.hpp>
#include <tessera/runtime/batch_writer.hpp>
#include <tessera/runtime/beam_search.hpp>
#include <tessera/runtime/bleu.hpp>
#include <tessera/runtime/ctc_decode.hpp>
#include <tessera/runtime/edit_distance.hpp>
#include <tessera/runtime/element_access.hpp>
#include <tessera/runtime/interpreter.hpp>
#include <tessera/runtime/memory_block.hpp>
#include <tessera/runtime/metrics.hpp>
#include <tessera/runtime/predictor.hpp>
#include <tessera/runtime/program.hpp>
#include <tessera/runtime/sequence.hpp>
#include <tessera/runtime/weights.hpp>
