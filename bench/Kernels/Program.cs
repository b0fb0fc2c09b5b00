using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.NoEmit;

// . scripts/torch-environment.sh && dotnet run -c Release --project bench/Kernels -- --filter '*Attention*'
var job = Job.ShortRun.WithToolchain(InProcessNoEmitToolchain.Instance);
BenchmarkSwitcher.FromAssembly(typeof(Gradus.Kernels.OperatorBenchmarks).Assembly).Run(args, DefaultConfig.Instance.AddJob(job));
