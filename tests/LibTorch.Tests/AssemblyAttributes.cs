using Xunit.Sdk;
using Xunit.v3;

// One thread uses libtorch: its own threads do the work, and the live tensors are counted.
[assembly: Parallelization(Mode = ParallelMode.None)]
