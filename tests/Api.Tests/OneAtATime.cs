using Xunit.Sdk;
using Xunit.v3;

// Two cores: tests that start processes would only make each other slow.
[assembly: Parallelization(Mode = ParallelMode.None)]
