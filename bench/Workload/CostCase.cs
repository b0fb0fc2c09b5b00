using System.Diagnostics;
using System.Text.Json;
using Gradus.Training;
using Gradus.Training.Model;
using Gradus.Training.Stages;
using static TorchSharp.torch;

namespace Gradus.Workload;

/// <summary>
/// Whole steps of the stage grpo (rollouts, reward, training) on a model of random weights that never ends a completion, so that every one has its full length; all else is as in a job with dtype bf16. Prints
/// a row of the table that bench/cost-table.sh makes.
/// </summary>
internal sealed class CostCase(ModelConfig config, string folder, int prompts, int promptLength, int microBatch) : IRunJournal, ICatalog, IDisposable
{
    /// <summary>Measured are two steps at least, and more until they have taken so many seconds; five at most.</summary>
    private const double Wanted = 6;

    private readonly List<double> seconds = [], rollout = [], training = [], products = [], peaks = [];
    private readonly CancellationTokenSource enough = new();
    private readonly Stopwatch clock = Stopwatch.StartNew();

    public static string Header => """
        | case | tokens | s a step | rollout tokens/s | training tokens/s | us a token | share of the product | peak, GB | estimate, GB |
        |---|---|---|---|---|---|---|---|---|
        """;

    public bool StopRequested => false;

    /// <param name="microBatch">Tokens that go through the trainer at once.</param>
    public static void Print(string name, ModelConfig model, int groupSize, int completion, int prompts, int promptLength, int microBatch)
    {
        var config = model with { EndTokens = [], MaxPositions = Math.Max(model.MaxPositions, promptLength + completion) };
        var folder = Directory.CreateTempSubdirectory("gradus-cost-").FullName;
        try
        {
            using (var weights = CausalLm.Create(config, seed: 1)) weights.Save(folder);
            File.WriteAllText(Path.Combine(folder, "tokenizer.json"), Tokenizer(config.VocabularySize));
            using var cost = new CostCase(config, folder, prompts, promptLength, microBatch);
            cost.Run(name, groupSize, completion);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    public string ModelFolder(string id) => folder;

    /// <summary>Prompts that open the reasoning, so that all a completion says is scored.</summary>
    public IReadOnlyList<JsonElement> Rows(string id) => [.. Enumerable.Range(0, prompts).Select(row => JsonSerializer.SerializeToElement(new
    {
        prompt = string.Concat(Enumerable.Range(1, promptLength - 1).Select(i => Word(1 + (((row * 31) + (i * 17)) % (config.VocabularySize - 1))))) + Word(0),
        language = "en",
    }))];

    public void Progress(string phase)
    {
    }

    public void Event(string level, string message) => Console.Error.WriteLine($"    {level}: {message}");

    public void Begin(int firstStep, int totalSteps)
    {
    }

    public void CommitStep(StepRecord step)
    {
        var figures = step.Metrics.ToDictionary(metric => metric.Name, metric => metric.Value);
        Console.Error.WriteLine(FormattableString.Invariant($"    step {step.Step}: {figures["step_time"]:F2} s, of it rollout {figures["time/rollout"]:F2}, forward {figures["time/forward"]:F2}, backward {figures["time/backward"]:F2}, optimizer {figures["time/optimizer"]:F2}"));
        peaks.Add(figures["memory/peak_bytes"]);
        // The first warms up. The others alternate with products, so that both see the same machine.
        if (step.Step > 1)
        {
            seconds.Add(figures["step_time"]);
            rollout.Add(figures["rollout_tokens_per_second"]);
            training.Add(figures["train_tokens_per_second"]);
        }
        else clock.Restart();
        for (var i = 0; i < 5; i++) products.Add(Product());
        if (seconds.Count == 5 || (seconds.Count >= 2 && clock.Elapsed.TotalSeconds > Wanted)) enough.Cancel();
    }

    public void CommitCheckpoint(CheckpointRecord checkpoint)
    {
    }

    public void Dispose() => enough.Dispose();

    private void Run(string name, int groupSize, int completion)
    {
        var options = JsonSerializer.SerializeToElement(new
        {
            model = "random",
            dataset = "prompts",
            max_steps = 1000,
            save_steps = 1000,
            prompts_per_step = prompts,
            num_generations = groupSize,
            max_completion_length = completion,
            rewards = new[] { new { name = "language_consistency" } },
            max_tokens_per_microbatch = microBatch,
            learning_rate = 1e-6,
            dtype = "bf16",
        });
        var estimate = StageMemory.Of(StageOptions.Parse("grpo", options), new(config, null, new(promptLength, promptLength)))!;
        Console.Error.WriteLine($"{name}: {config.ParameterCount / 1e6:F1}M weights, {prompts} x {groupSize} x {completion} tokens after {promptLength}, micro-batches of {microBatch}; {estimate}");
        try
        {
            StageRunner.Run(new("cost", "grpo", options, 1, folder, 1, [], "cpu"), this, this, enough.Token);
        }
        catch (OperationCanceledException)
        {
            // Leaves no checkpoint and no model.
        }
        // Each prompt token is computed once and each other one as well, in rollout and in training (2 and 6 operations a weight); attention sees half of a completion and all of the prompt, on average.
        long sampled = (long)prompts * groupSize * completion, all = sampled + ((long)prompts * promptLength);
        var matrices = config.ParameterCount - (config.HiddenSize * ((2L * config.Layers) + 1));
        var operations = (8.0 * matrices * all) + (16.0 * config.Layers * config.Heads * config.HeadDim * sampled * (promptLength + (completion / 2.0)));
        double step = Median(seconds), product = Median(products);
        Console.WriteLine(FormattableString.Invariant(
            $"| {name} | {all} | {step:F2} | {Median(rollout):F0} | {Median(training):F0} | {step / all * 1e6:F0} | {operations / step / 1e9 / product:F2} of {product:F0} | {peaks.Max() / 1e9:F2} | {estimate.Total / 1e9:F2} |"));
    }

    /// <summary>GF/s of one product of two 2048 x 2048 matrices in bf16.</summary>
    private static double Product()
    {
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        Tensor a = ones(2048, 2048, ScalarType.BFloat16), b = ones(2048, 2048, ScalarType.BFloat16);
        var start = Stopwatch.GetTimestamp();
        a.matmul(b);
        return 2.0 * 2048 * 2048 * 2048 / Stopwatch.GetElapsedTime(start).TotalSeconds / 1e9;
    }

    private static double Median(List<double> values) => values.Order().ElementAt(values.Count / 2);

    /// <summary>A word for each token: Latin and Han in turn, so that the share of Latin words is a reward in which a group's completions differ.</summary>
    private static string Tokenizer(int vocabulary) => JsonSerializer.Serialize(new
    {
        pre_tokenizer = new { type = "Split", pattern = new { Regex = " [^ ]+" }, behavior = "Isolated", invert = false },
        decoder = new { type = "Fuse" },
        model = new { type = "WordLevel", vocab = Enumerable.Range(0, vocabulary).ToDictionary(Word), unk_token = Word(0) },
    });

    private static string Word(int token) => token == 0 ? " <think>" : token % 2 == 0 ? $" a{token}" : $" 中{token}";
}
