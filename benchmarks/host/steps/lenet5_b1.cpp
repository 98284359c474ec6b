// LeNet-5 at batch 1.

#include <host/steps/lenet5.hpp>

namespace steps {

entries lenet5_b1() { return lenet5<1>(std::make_shared<sample_batch>(1, lenet::input)); }

}  // namespace steps
