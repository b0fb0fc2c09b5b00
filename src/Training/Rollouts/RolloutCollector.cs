// Prompts -> scored completions, by the policy's weights in place. It knows no advantage and no loss.
using System.Diagnostics;
using System.Text.Json;
using Gradus.Training.Inference;
using Gradus.Training.Model;
using Gradus.Training.Rewards;
using Gradus.Training.Stages;
using Gradus.Training.Text;

namespace Gradus.Training.Rollouts;

internal sealed class RolloutCollector(CausalLm policy, TextEncoder text, RolloutOptions options, Rubric? rubric, StageContext context) : IDisposable
{
    private static readonly RubricScore Unscored = new([], null);

    private readonly Engine engine = new(Decoders.For(policy, bfloat16: options.BFloat16), options.MaxSequences);
    private readonly SamplingOptions sampling = new() { Temperature = options.Temperature, TopP = options.TopP, TopK = options.TopK, MinP = options.MinP };

    private (long Sampled, long Computed, long Cached, long PutBack) told;
    private TimeSpan spent;
    private bool introduced;

    /// <summary>To be called before the first rollouts by new weights. A bf16 copy is made anew; nothing else is copied.</summary>
    /// <returns>What that took: bytes of the copy.</returns>
    public long WeightsChanged()
    {
        context.Progress("weights");
        return engine.WeightsChanged();
    }

    /// <summary>What was sampled, computed and cached since the last call.</summary>
    public IReadOnlyList<Metric> Take()
    {
        var now = (Sampled: engine.SampledTokens, Computed: engine.PrefilledTokens, Cached: engine.CachedTokens, engine.PutBack);
        Metric[] metrics =
        [
            new("rollout_tokens_per_second", (now.Sampled - told.Sampled) / spent.TotalSeconds), new("cache/computed_tokens", now.Computed - told.Computed),
            new("cache/reused_tokens", now.Cached - told.Cached), new("cache/put_back", now.PutBack - told.PutBack), new("cache/peak_bytes", engine.PeakCacheBytes),
        ];
        (told, spent) = (now, TimeSpan.Zero);
        return metrics;
    }

    /// <summary>One group per row, in order; each rollout draws by (seed, purpose, step, its place in the step) alone.</summary>
    /// <exception cref="RewardFailedException">A reward threw: the job fails with its name.</exception>
    public IReadOnlyList<RolloutGroup> Collect(IReadOnlyList<JsonElement> rows, string purpose, int step, int firstIndex = 0)
    {
        if (!introduced) context.Journal.Event("info", $"Samples by {engine.Kernel}{(options.BFloat16 && engine.Kernel != DecodeKernel.BFloat16 ? ", as there is no kernel for bf16 here" : "")}.");
        introduced = true;
        context.Progress("rollout");
        var clock = Stopwatch.StartNew();
        var prompts = rows.Select(PromptOf).ToArray();
        // A prompt that fills the context leaves no room: the engine refuses it by name.
        int[] rooms = [.. prompts.Select(prompt => Math.Max(1, Math.Min(options.MaxCompletionLength, policy.Config.MaxPositions - prompt.Tokens.Length)))];
        var sequencesAtOnce = Math.Min(options.MaxSequences, rows.Count * (long)options.NumGenerations);
        engine.CacheBytes = RolloutCache.Bytes(options, policy.Config, sequencesAtOnce, rows.Count, prompts.Max(prompt => prompt.Tokens.Length), rooms.Max());
        var sequences = new IReadOnlyList<Sequence>[rows.Count];
        for (var i = 0; i < rows.Count; i++)
        {
            var first = (firstIndex + i) * (long)options.NumGenerations;
            ulong[] keys = [.. Enumerable.Range(0, options.NumGenerations).Select(n => DerivedRandom.Key(context.Seed, purpose, step, first + n))];
            sequences[i] = engine.Add(new(prompts[i].Tokens, rooms[i], sampling, text.EndTokens, keys));
        }
        for (var seen = -1L; !engine.Idle; engine.Step())
        {
            context.CancellationToken.ThrowIfCancellationRequested();
            // Steps that compute no token are no progress, however many.
            var computed = engine.SampledTokens + engine.PrefilledTokens;
            if (computed != seen) context.Progress("rollout");
            seen = computed;
        }
        spent += clock.Elapsed;

        return [.. rows.Select((row, i) => new RolloutGroup(row, prompts[i], [.. sequences[i].Select(s => Scored(s, prompts[i], row))]))];
    }

    public void Dispose() => engine.Dispose();

    private Rollout Scored(Sequence sequence, EncodedPrompt prompt, JsonElement row)
    {
        context.Progress("reward");
        int[] tokens = [.. sequence.Tokens];
        var completion = prompt.Opened + text.Prompts.Tokenizer.Decode(tokens, skipSpecialTokens: true);
        var finish = sequence.FinishReason!;
        return new(tokens, [.. sequence.LogProbs], completion, finish, rubric?.Score(new(prompt.Shown, completion, row, finish) { Tokens = tokens.Length }) ?? Unscored);
    }

    private EncodedPrompt PromptOf(JsonElement row) => row.TryGetProperty("prompt", out var prompt)
        ? text.Prompts.Encode(prompt)
        : throw new InvalidInputException("A row has no field 'prompt': a string, or a list of messages.", "prompt", "missing");
}
