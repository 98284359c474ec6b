#pragma once

// File formats over named bytes. Included by name: json.hpp takes 1.3 s to compile. Programs that
// only save and load weights include <tessera/io/safetensors.hpp>, which takes a third of a second.

#include <tessera/io/crc32c.hpp>
#include <tessera/io/dtype.hpp>
#include <tessera/io/file.hpp>
#include <tessera/io/header_reader.hpp>
#include <tessera/io/json.hpp>
#include <tessera/io/message.hpp>
#include <tessera/io/safetensors.hpp>
