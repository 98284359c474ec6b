#pragma once

// Data sets: files in IDX form (MNIST), drawn digits, and the order in which an epoch visits them.
// Needs zlib: link with -lz.

#include <tessera/data/batches.hpp>
#include <tessera/data/dataset.hpp>
#include <tessera/data/digits.hpp>
#include <tessera/data/glyphs.hpp>
#include <tessera/data/gzip.hpp>
#include <tessera/data/idx.hpp>
