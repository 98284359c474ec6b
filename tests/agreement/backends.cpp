// The backends of this test program; a source of its own, so that the others compile in seconds.

#include <support/backends_table.hpp>
