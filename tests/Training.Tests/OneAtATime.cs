using Xunit.Sdk;
using Xunit.v3;

// libtorch's thread pools are one per process: tests that use it side by side would wait for each other.
[assembly: Parallelization(Mode = ParallelMode.None)]
