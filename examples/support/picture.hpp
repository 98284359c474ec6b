#pragma once

// The option --picture: what a training step looks like, as a table of layers and as a picture.

#include <tessera/io/file.hpp>
#include <tessera/report/dot.hpp>
#include <tessera/report/picture.hpp>
#include <tessera/report/summary.hpp>

#include <iostream>
#include <sstream>
#include <string>

#include "options.hpp"

namespace examples {

/// "--picture FILE"
inline own_option picture_option(std::string& file) {
  return {"--picture", "FILE", "show the layers, and draw the step's operations: FILE.svg or .dot",
          [&file](const std::string& value) {
            if (!value.ends_with(".svg") && !value.ends_with(".dot")) {
              throw tessera::error("--picture: expected a file that ends in .svg or .dot, got \"" +
                                   value + "\"");
            }
            file = value;
          }};
}

/// Prints the table and writes the picture; nothing where no file is named.
template <class Job>
void show_network(const std::string& file) {
  if (file.empty()) return;
  tessera::summarize<Job>(std::cout);
  const tessera::graph g = tessera::graph_of<Job>();
  std::ostringstream text;
  if (file.ends_with(".svg")) {
    tessera::write_svg(text, g);
  } else {
    tessera::write_dot(text, g);
  }
  tessera::io::write_file(file, text.str());
}

}  // namespace examples
