#pragma once

// Tables, drawings and JSON of a network, of what a job needs and of what a training reached
// (nlohmann_json).

#include <tessera/report/dot.hpp>
#include <tessera/report/json.hpp>
#include <tessera/report/memory_map.hpp>
#include <tessera/report/memory_picture.hpp>
#include <tessera/report/memory_table.hpp>
#include <tessera/report/metrics.hpp>
#include <tessera/report/pareto.hpp>
#include <tessera/report/picture.hpp>
#include <tessera/report/plan.hpp>
#include <tessera/report/price_comparison.hpp>
#include <tessera/report/price_json.hpp>
#include <tessera/report/price_list.hpp>
#include <tessera/report/price_table.hpp>
#include <tessera/report/roofline.hpp>
#include <tessera/report/scaling.hpp>
#include <tessera/report/summary.hpp>
#include <tessera/report/tile_heat.hpp>
#include <tessera/report/trace.hpp>
#include <tessera/report/vertex_graph.hpp>
