#pragma once

// safetensors: named tensors as raw bytes behind a JSON header. Data only: nothing in a file says
// what to compute, so nothing in a file can.
//
//   0        8                    8 + N                                       size
//   | N: u64 | header, N bytes    | data                                      |
//   |        | {"a": ...}, spaces | a: offsets 0..600   | b: 600..624 | ...   |
//
// The checksum is the CRC32C of the whole file with the checksum's own eight digits read as '0'; it
// stands in the metadata as "tessera.crc32c". Other readers pass over it.
//
// Source: the format's description and reference reader, github.com/huggingface/safetensors.
// Stricter than those: names of at most 1024 bytes, 65536 tensors, 8 extents, no unknown fields.

#include <tessera/io/safetensors_format.hpp>
#include <tessera/io/safetensors_read.hpp>
#include <tessera/io/safetensors_write.hpp>
