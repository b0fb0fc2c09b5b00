using System.Globalization;
using System.Text.Json;
using Gradus.Training.Gguf;
using Gradus.Training.Model;
using Gradus.Workload;
using static TorchSharp.torch;

// Run it with the environment of a training child: . scripts/torch-environment.sh && dotnet run -c Release --project bench/Workload [STEPS [PART]]
// where PART is yardstick, tiny, 3M, 135M, 135M-bf16, 135M-recomputed, 135M-bf16-recomputed, decode, decode-135M[:SEQUENCES], tokenizers, gguf:FROM:TO or
// cost:MODEL:GROUP:COMPLETION:PROMPTS:PROMPT[:MICROBATCH] ( see bench/cost-table.sh); the first ten without it.
int threads = int.TryParse(Environment.GetEnvironmentVariable("OMP_NUM_THREADS"), out int n) ? n : Environment.ProcessorCount;
int steps = args.Length > 0 ? int.Parse(args[0], CultureInfo.InvariantCulture) : 15;
string[] parts = args.Length > 1 ? args[1..] : ["yardstick", "tiny", "3M", "135M", "135M-bf16", "135M-recomputed", "135M-bf16-recomputed", "decode", "decode-135M", "tokenizers"];
set_num_threads(threads);

if (parts.Contains("yardstick")) Console.WriteLine(Yardstick.Measure(threads));
if (parts.Contains("tiny")) TrainingRate.Print("tiny", Llama(62, 128, 384), rows: 64, length: 64, steps);
if (parts.Contains("3M")) TrainingRate.Print("3M", Llama(64, 256, 768), rows: 64, length: 64, steps);
// SmolLM2-135M's shape.
foreach (string part in parts.Where(part => part.StartsWith("135M", StringComparison.Ordinal)))
    TrainingRate.Print("135M", SmolLm2(), rows: 8, length: 128, steps, part.Contains("bf16"), part.Contains("recomputed"));
if (parts.Contains("decode"))
{
    DecodeRate.Print("tiny", Llama(62, 128, 384), groups: 16, groupSize: 16, prompt: 20, newTokens: 60, Math.Max(1, steps / 3), libtorch: true);
    DecodeRate.Print("3M", Llama(64, 256, 768), groups: 4, groupSize: 16, prompt: 32, newTokens: 64, Math.Max(1, steps / 3), libtorch: true);
}
foreach (string part in parts.Where(part => part.StartsWith("decode-135M", StringComparison.Ordinal)))
{
    int[] counts = part.Split(':') is [_, var only] ? [int.Parse(only, CultureInfo.InvariantCulture)] : [1, 16, 64];
    foreach (int sequences in counts) DecodeRate.Print("135M", SmolLm2(), sequences, groupSize: 1, prompt: 32, newTokens: 48, Math.Max(1, steps / 3), libtorch: false);
}
foreach (string[] cost in parts.Select(part => part.Split(':')).Where(part => part is ["cost", ..]))
{
    if (cost.Length == 1)
    {
        Console.WriteLine(CostCase.Header);
        continue;
    }
    int[] sizes = [.. cost[2..].Select(size => int.Parse(size, CultureInfo.InvariantCulture))];
    var shape = cost[1] switch
    {
        "2M" => Model(1_024, 192, 512, layers: 4, heads: 6, keyHeads: 3),
        "10M" => Model(8_192, 320, 864, layers: 6, heads: 10, keyHeads: 5),
        "30M" => Model(16_384, 448, 1216, layers: 10, heads: 14, keyHeads: 7),
        "135M" => SmolLm2(),
        var other => throw new ArgumentException($"There is no model '{other}': 2M, 10M, 30M, 135M."),
    };
    // As in the recipe grpo-times-tables.
    int budget = sizes.Length > 4 ? sizes[4] : 4096;
    CostCase.Print($"{cost[1]}, {sizes[2]} x {sizes[0]} x {sizes[1]} after {sizes[3]}{(budget == 4096 ? "" : $" by {budget}")}", shape, sizes[0], sizes[1], sizes[2], sizes[3], budget);
}
// A GGUF file as a model's folder, or again as GGUF in bf16.
foreach (string[] files in parts.Select(part => part.Split(':')).Where(part => part is ["gguf", _, _]))
{
    bool again = files[2].EndsWith(".gguf", StringComparison.Ordinal);
    string folder = again ? Directory.CreateTempSubdirectory("gradus-gguf-").FullName : files[2];
    GgufImport.Convert(files[1], folder);
    if (!again) continue;
    GgufExport.Write(folder, files[2], GgufType.BF16);
    Directory.Delete(folder, recursive: true);
}
if (parts.Contains("tokenizers")) TokenizerRate.Print(Math.Max(1, steps / 3));

static ModelConfig SmolLm2() => Model(49_152, 576, 1536, layers: 30, heads: 9, keyHeads: 3);

static ModelConfig Llama(int vocabulary, int width, int feedForward) => Model(vocabulary, width, feedForward, layers: 4, heads: 4, keyHeads: 2);

static ModelConfig Model(int vocabulary, int width, int feedForward, int layers, int heads, int keyHeads) => ModelConfig.Parse(JsonSerializer.SerializeToElement(new
{
    model_type = "llama",
    hidden_act = "silu",
    vocab_size = vocabulary,
    hidden_size = width,
    intermediate_size = feedForward,
    num_hidden_layers = layers,
    num_attention_heads = heads,
    num_key_value_heads = keyHeads,
    max_position_embeddings = 512,
    rms_norm_eps = 1e-5,
    rope_theta = 10000.0,
    tie_word_embeddings = true,
    eos_token_id = 0,
}));
