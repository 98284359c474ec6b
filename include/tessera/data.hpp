#pragma once

// Data sets: files (MNIST, CIFAR-10, texts, tables, spoken digits), made data in their place (drawn
// digits, shapes and membranes, a made play, a made census, made speech), what is done to samples
// (augmentation, log-mel features), and the order in which an epoch visits them.
// Needs zlib: link with -lz.

#include <tessera/data/adult.hpp>
#include <tessera/data/batches.hpp>
#include <tessera/data/cifar10.hpp>
#include <tessera/data/csv.hpp>
#include <tessera/data/dataset.hpp>
#include <tessera/data/digits.hpp>
#include <tessera/data/drawing.hpp>
#include <tessera/data/fft.hpp>
#include <tessera/data/glyphs.hpp>
#include <tessera/data/gzip.hpp>
#include <tessera/data/idx.hpp>
#include <tessera/data/made_speech.hpp>
#include <tessera/data/made_translations.hpp>
#include <tessera/data/mel.hpp>
#include <tessera/data/membranes.hpp>
#include <tessera/data/parallel_text.hpp>
#include <tessera/data/resample.hpp>
#include <tessera/data/segments.hpp>
#include <tessera/data/sentences.hpp>
#include <tessera/data/shapes.hpp>
#include <tessera/data/spoken.hpp>
#include <tessera/data/table.hpp>
#include <tessera/data/text.hpp>
#include <tessera/data/transform.hpp>
#include <tessera/data/utf8.hpp>
#include <tessera/data/wav.hpp>
#include <tessera/data/word_pairs.hpp>
#include <tessera/data/words.hpp>
