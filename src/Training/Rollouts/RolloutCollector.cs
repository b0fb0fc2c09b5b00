// Prompts -> scored completions, by the policy's weights in place. It knows no advantage and no loss.
using System.Diagnostics;
using System.Text.Json;
using Gradus.Training.Inference;
using Gradus.Training.Model;
using Gradus.Training.Rewards;
using Gradus.Training.Stages;
using Gradus.Training.Text;

namespace Gradus.Training.Rollouts;

/// <param name="bfloat16">Decodes with products in bf16, where the processor has them.</param>
internal sealed class RolloutCollector(CausalLm policy, TextEncoder text, RolloutOptions options, Rubric? rubric, StageContext context, bool bfloat16 = false) : IDisposable
{
    private static readonly RubricScore Unscored = new([], null);

    private readonly Engine engine = new(Decoders.For(policy, bfloat16: bfloat16), options.MaxSequences);
    private readonly SamplingOptions sampling = new() { Temperature = options.Temperature, TopP = options.TopP, TopK = options.TopK, MinP = options.MinP };

    /// <summary>Tokens sampled a second in the last call.</summary>
    public double TokensPerSecond { get; private set; }

    /// <summary>One group per row, in order; each rollout draws by (seed, purpose, step, its place in the step) alone.</summary>
    /// <exception cref="RewardFailedException">A reward threw: the job fails with its name.</exception>
    public IReadOnlyList<RolloutGroup> Collect(IReadOnlyList<JsonElement> rows, string purpose, int step, int firstIndex = 0)
    {
        context.Progress("rollout");
        var clock = Stopwatch.StartNew();
        engine.WeightsChanged();
        var prompts = rows.Select(PromptOf).ToArray();
        var sequences = new IReadOnlyList<Sequence>[rows.Count];
        for (var i = 0; i < rows.Count; i++)
        {
            var first = (firstIndex + i) * (long)options.NumGenerations;
            ulong[] keys = [.. Enumerable.Range(0, options.NumGenerations).Select(n => DerivedRandom.Key(context.Seed, purpose, step, first + n))];
            // A prompt that fills the context leaves no room: the engine refuses it by name.
            var room = Math.Max(1, Math.Min(options.MaxCompletionLength, engine.MaxPositions - prompts[i].Tokens.Length));
            sequences[i] = engine.Add(new(prompts[i].Tokens, room, sampling, text.EndTokens, keys));
        }
        for (var seen = -1L; !engine.Idle; engine.Step())
        {
            context.CancellationToken.ThrowIfCancellationRequested();
            // Steps that compute no token are no progress, however many.
            var computed = engine.SampledTokens + engine.PrefilledTokens;
            if (computed != seen) context.Progress("rollout");
            seen = computed;
        }
        TokensPerSecond = sequences.Sum(s => s.Sum(q => (long)q.Tokens.Count)) / clock.Elapsed.TotalSeconds;

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
