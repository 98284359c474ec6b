#pragma once

// Tables, drawings and JSON of what a job needs and what a training reached (nlohmann_json).

#include <tessera/report/json.hpp>
#include <tessera/report/metrics.hpp>
#include <tessera/report/plan.hpp>
