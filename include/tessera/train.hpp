#pragma once

// Training loops, metrics, progress, weights in files. Trainers of several plans over one set of
// weights (bucket_trainer.hpp), of belief networks (dbn.hpp) and copies between networks
// (copy_weights.hpp) are included by name.

#include <tessera/train/match_weights.hpp>
#include <tessera/train/progress.hpp>
#include <tessera/train/sample_source.hpp>
#include <tessera/train/trainer.hpp>
#include <tessera/train/weights_file.hpp>
#include <tessera/train/weights_header.hpp>
