#pragma once

// Scalable vector graphics: the few elements that drawings of this folder are made of. All texts
// are escaped. Source: www.w3.org/TR/SVG11

#include <tessera/report/escape.hpp>
#include <tessera/report/geometry.hpp>
#include <iomanip>
#include <ostream>
#include <string_view>
#include <vector>

namespace tessera::detail {

/// From a point to another, bent towards a third.
struct curve {
  point from;
  point towards;
  point to;
};

/// Writes a drawing of the given size in pixels; closes it when it is destroyed.
class svg_writer {
 public:
  svg_writer(std::ostream& out, double width, double height)
      : out_(out), flags_(out.flags()), precision_(out.precision()) {
    out_ << std::fixed << std::setprecision(1);
    out_ << "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" << width << "\" height=\""
         << height << "\" viewBox=\"0 0 " << width << " " << height
         << "\" font-family=\"Helvetica, Arial, sans-serif\" font-size=\"11\">\n";
  }
  ~svg_writer() {
    out_ << "</svg>\n";
    out_.flags(flags_);
    out_.precision(precision_);
  }
  svg_writer(const svg_writer&) = delete;
  svg_writer& operator=(const svg_writer&) = delete;

  /// An arrow head in `colour`, for lines that name it.
  void arrow_head(std::string_view name, std::string_view colour) {
    out_ << "<marker id=\"" << name
         << "\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"6\" markerHeight=\"6\" "
            "orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" fill=\""
         << colour << "\"/></marker>\n";
  }

  void box(const rectangle& r, double radius, std::string_view fill, std::string_view line,
           bool dashed = false) {
    out_ << "<rect x=\"" << r.x << "\" y=\"" << r.y << "\" width=\"" << r.width << "\" height=\""
         << r.height << "\" rx=\"" << radius << "\" fill=\"" << fill << "\" stroke=\"" << line
         << "\"" << (dashed ? " stroke-dasharray=\"5 3\"" : "") << "/>\n";
  }

  /// A box that says `title` when pointed at; scripts find it by data-t="number".
  void titled_box(const rectangle& r, std::string_view fill, std::string_view line,
                  std::string_view title, i32 number) {
    const auto precision = out_.precision(2);
    out_ << "<rect x=\"" << r.x << "\" y=\"" << r.y << "\" width=\"" << r.width << "\" height=\""
         << r.height << "\" fill=\"" << fill << "\" stroke=\"" << line
         << "\" stroke-width=\"0.4\" data-t=\"" << number << "\"><title>" << escape_xml(title)
         << "</title></rect>\n";
    out_.precision(precision);
  }

  /// A translucent dot that says `title` when pointed at.
  void titled_dot(const point& p, double radius, std::string_view fill, std::string_view title) {
    out_ << "<circle cx=\"" << p.x << "\" cy=\"" << p.y << "\" r=\"" << radius << "\" fill=\""
         << fill << "\" fill-opacity=\"0.55\" stroke=\"" << fill
         << "\" stroke-width=\"0.6\"><title>" << escape_xml(title) << "</title></circle>\n";
  }

  /// A straight line without heads.
  void rule(const point& from, const point& to, std::string_view colour, bool dotted) {
    out_ << "<line x1=\"" << from.x << "\" y1=\"" << from.y << "\" x2=\"" << to.x << "\" y2=\""
         << to.y << "\" stroke=\"" << colour << "\"" << (dotted ? " stroke-dasharray=\"2 3\"" : "")
         << "/>\n";
  }

  /// Many thin curves as one element; none where there are none.
  void curves(const std::vector<curve>& all, std::string_view colour, double width,
              double opacity) {
    if (all.empty()) return;
    out_ << "<path fill=\"none\" stroke=\"" << colour << "\" stroke-width=\"" << width
         << "\" stroke-opacity=\"" << std::setprecision(2) << opacity << std::setprecision(1)
         << "\" d=\"";
    for (const curve& c : all) {
      out_ << "M" << c.from.x << " " << c.from.y << "Q" << c.towards.x << " " << c.towards.y << " "
           << c.to.x << " " << c.to.y;
    }
    out_ << "\"/>\n";
  }

  /// Many dots of one size as one element: lines without length that have round ends.
  void dots(const std::vector<point>& all, std::string_view colour, double diameter) {
    if (all.empty()) return;
    out_ << "<path fill=\"none\" stroke=\"" << colour << "\" stroke-width=\"" << diameter
         << "\" stroke-linecap=\"round\" d=\"";
    for (const point& p : all) out_ << "M" << p.x << " " << p.y << "h0";
    out_ << "\"/>\n";
  }

  /// A line that is not seen, but says `title` when pointed at.
  void titled_line(const point& from, const point& to, double width, std::string_view title) {
    out_ << "<line x1=\"" << from.x << "\" y1=\"" << from.y << "\" x2=\"" << to.x << "\" y2=\""
         << to.y << "\" stroke=\"#000000\" stroke-opacity=\"0\" stroke-width=\"" << width
         << "\"><title>" << escape_xml(title) << "</title></line>\n";
  }

  /// A filled polygon without an outline.
  void area(const std::vector<point>& points, std::string_view fill) {
    out_ << "<polygon fill=\"" << fill << "\" points=\"";
    for (std::size_t i = 0; i < points.size(); ++i) {
      out_ << (i > 0 ? " " : "") << points[i].x << "," << points[i].y;
    }
    out_ << "\"/>\n";
  }

  /// One line of text, its baseline at `p`. `anchor`: start, middle or end.
  void text(const point& p, std::string_view words, std::string_view anchor,
            std::string_view colour, bool bold = false) {
    out_ << "<text x=\"" << p.x << "\" y=\"" << p.y << "\" text-anchor=\"" << anchor << "\" fill=\""
         << colour << "\"" << (bold ? " font-weight=\"bold\"" : "") << ">" << escape_xml(words)
         << "</text>\n";
  }

  void line(const std::vector<point>& points, std::string_view colour, std::string_view head,
            bool dashed, std::string_view title) {
    out_ << "<polyline fill=\"none\" stroke=\"" << colour << "\""
         << (dashed ? " stroke-dasharray=\"4 3\"" : "") << " marker-end=\"url(#" << head
         << ")\" points=\"";
    for (std::size_t i = 0; i < points.size(); ++i) {
      out_ << (i > 0 ? " " : "") << points[i].x << "," << points[i].y;
    }
    out_ << "\"><title>" << escape_xml(title) << "</title></polyline>\n";
  }

 private:
  std::ostream& out_;
  std::ios_base::fmtflags flags_;
  std::streamsize precision_;
};

}  // namespace tessera::detail
