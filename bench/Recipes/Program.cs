// dotnet run -c Release --project bench/Recipes -- r1-zero-tiny seed=1 out=/tmp/recipes base.max_steps=500 until=base
// Run it with the environment of a training child: . scripts/torch-environment.sh
// Arguments: a shipped recipe's name or a file; seed=N; out=FOLDER (what is finished there is not run again); every=N (progress lines);
// until=STAGE; STAGE.OPTION=VALUE replaces one option; model:ID=FOLDER and rows:ID=FILE (JSONL) give it models and datasets.
using System.Diagnostics;
using System.Text.Json;
using System.Text.Json.Nodes;
using Gradus.Recipes;
using Gradus.Training.Recipes;
using Gradus.Training.Stages;
using Gradus.Workload;
using static TorchSharp.torch;

var named = args.Skip(1).Select(a => a.Split('=', 2)).Where(a => a.Length == 2).ToDictionary(a => a[0], a => a[1]);
var source = JsonSerializer.SerializeToNode(File.Exists(args[0]) ? JsonDocument.Parse(File.ReadAllText(args[0])).RootElement : ShippedRecipes.All[args[0]])!.AsObject();
foreach (var stage in source["stages"]!.AsArray())
{
    foreach (var (key, value) in named.Where(n => n.Key.StartsWith($"{stage!["name"]}.", StringComparison.Ordinal)))
        stage!["options"]![key[(key.IndexOf('.') + 1)..]] = JsonNode.Parse(value);
}
var recipe = Recipe.Parse(JsonSerializer.SerializeToElement(source));
var seed = named.TryGetValue("seed", out var text) ? long.Parse(text) : recipe.Seed;
var every = named.TryGetValue("every", out text) ? int.Parse(text) : 10;
var folder = named.TryGetValue("out", out text) ? text : Path.Combine(Path.GetTempPath(), $"gradus-{recipe.Name}-{seed}");
var threads = int.TryParse(Environment.GetEnvironmentVariable("OMP_NUM_THREADS"), out var n) ? n : Environment.ProcessorCount;
set_num_threads(threads);
Console.WriteLine($"{recipe.Name}, seed {seed}, {folder}\n{Yardstick.Measure(threads)}");

var catalog = new MemoryCatalog(folder);
foreach (var (key, value) in named)
{
    if (key.StartsWith("model:", StringComparison.Ordinal)) catalog.AddModel(key["model:".Length..], value);
    if (key.StartsWith("rows:", StringComparison.Ordinal)) catalog.AddRows(key["rows:".Length..], [.. File.ReadLines(value).Select(line => JsonDocument.Parse(line).RootElement)]);
}
Dictionary<string, (Artifact Kind, string Id)> made = [];
List<string> table = [];
var all = Stopwatch.StartNew();
var process = Process.GetCurrentProcess();
double before = 0;
foreach (var stage in recipe.Stages)
{
    var own = Path.Combine(folder, stage.Name);
    var clock = Stopwatch.StartNew();
    var result = Finished.Read(own);
    var seconds = result?.Seconds;
    if (result is null)
    {
        var options = Recipe.Resolve(stage.Json, (name, _) => made[name].Id);
        var request = new StageRequest(stage.Name, stage.Stage, options, Recipe.StageSeed(seed, stage.Name), own, 1, [], "cpu");
        Directory.CreateDirectory(own);
        var closing = StageRunner.Run(request, new ConsoleJournal(stage.Name, every, Path.Combine(own, "metrics.jsonl")), catalog, CancellationToken.None);
        seconds = clock.Elapsed.TotalSeconds;
        result = Finished.Write(own, closing, clock.Elapsed.TotalSeconds);
    }
    else before += result.Seconds;
    if (result.HasModel) made[stage.Name] = (Artifact.Model, catalog.AddModel(stage.Name, Path.Combine(own, "model")));
    if (result.Rows is not null) made[stage.Name] = (Artifact.Dataset, catalog.AddRows(stage.Name, result.Rows));
    var line = $"{stage.Name,-24} {seconds,6:F0} s  {string.Join("  ", result.Summary.Where(m => Shown(m.Name, stage.Stage)).Select(m => $"{m.Name} {m.Value:0.###}"))}";
    Console.WriteLine(line);
    table.Add(line);
    if (named.GetValueOrDefault("until") == stage.Name) break;
}
Console.WriteLine($"\n{recipe.Name}, seed {seed}: {all.Elapsed.TotalSeconds + before:F0} s, of them now {all.Elapsed.TotalSeconds:F0} s with {process.TotalProcessorTime.TotalSeconds:F0} s of processor time\n{string.Join('\n', table)}\n{Yardstick.Measure(threads)}");

static bool Shown(string name, string stage) => stage is "evaluate" or "generate" or "rejection-sampling"
    || name is "loss" or "reward" or "pass_rate" or "completions/mean_length" or "completions/language_share" or "completions/phrases/checks";
