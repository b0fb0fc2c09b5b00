using Gradus.Workload;
using static TorchSharp.torch;

// Run it with the environment of a training child: . scripts/torch-environment.sh && dotnet run -c Release --project bench/Workload
int threads = int.TryParse(Environment.GetEnvironmentVariable("OMP_NUM_THREADS"), out int n) ? n : Environment.ProcessorCount;
set_num_threads(threads);
Console.WriteLine(Yardstick.Measure(threads));
