#pragma once

// File formats over named bytes. Included by name: this header takes 2.7 s and 320 MB to include
// (g++ 12 -O2, Zen 3), json.hpp 2.0 s of them. Programs that only save and load weights include
// <tessera/io/safetensors.hpp>: 0.8 s, of which the standard library's strings, vectors and maps
// are 0.3 s.

#include <tessera/io/crc32c.hpp>
#include <tessera/io/dtype.hpp>
#include <tessera/io/file.hpp>
#include <tessera/io/header_reader.hpp>
#include <tessera/io/json.hpp>
#include <tessera/io/message.hpp>
#include <tessera/io/safetensors.hpp>
#include <tessera/io/weights_header.hpp>
