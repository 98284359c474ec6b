#pragma once

// Training loops, metrics, progress, weights in files.

#include <tessera/train/match_weights.hpp>
#include <tessera/train/progress.hpp>
#include <tessera/train/sample_source.hpp>
#include <tessera/train/trainer.hpp>
#include <tessera/train/weights_file.hpp>
#include <tessera/train/weights_header.hpp>
