// Draws the next token from a row of logits, on spans, without a generator: the uniform number comes in.
// A top_p cut keeps the fewest tokens, best first (of equals the lower id), whose mass reaches it; top_k keeps all equals of its last.
using System.Numerics.Tensors;

namespace Gradus.Training.Inference;

/// <summary>Holds the scratch of one row; not for two threads at once.</summary>
/// <param name="vocabularySize">The length of a row.</param>
public sealed class Sampler(int vocabularySize)
{
    private readonly float[] scaled = new float[vocabularySize];
    private readonly float[] weights = new float[vocabularySize];
    private readonly int[] order = new int[vocabularySize];
    private readonly HashSet<int> seen = [];

    /// <summary>Draws the token that follows.</summary>
    /// <param name="logits">One row, left as it is.</param>
    /// <param name="prompt">For the repetition penalty.</param>
    /// <param name="completion">For all penalties.</param>
    /// <param name="draw">Uniform in [0, 1).</param>
    /// <exception cref="ArithmeticException">A logit is NaN or plus infinity.</exception>
    public SampledToken Sample(ReadOnlySpan<float> logits, SamplingOptions options, ReadOnlySpan<int> prompt, ReadOnlySpan<int> completion, double draw, int top = 0)
    {
        var temperature = options.Temperature == 0 ? 1f : (float)options.Temperature;
        if (options.Temperature != 0 && !options.ChangesLogits && !options.Filters)
        {
            // The common case of training: the weights of the draw are those of the log-probability.
            var (max, sum) = Exponentials(logits, temperature);
            var drawn = Draw(sum, draw);
            return new SampledToken(drawn, (float)(logits[drawn] / temperature - max - Math.Log(sum)), Top(logits, temperature, max, sum, top));
        }
        var token = Choose(logits, options, prompt, completion, draw);
        var (plainMax, plainSum) = Exponentials(logits, temperature);
        return new SampledToken(token, (float)(logits[token] / temperature - plainMax - Math.Log(plainSum)), Top(logits, temperature, plainMax, plainSum, top));
    }

    /// <summary>The distribution that <see cref="Sample"/> draws from; at temperature 0 all on one token.</summary>
    public float[] Probabilities(ReadOnlySpan<float> logits, SamplingOptions options, ReadOnlySpan<int> prompt, ReadOnlySpan<int> completion)
    {
        var probabilities = new float[vocabularySize];
        if (options.Temperature == 0)
        {
            probabilities[Choose(logits, options, prompt, completion, 0)] = 1;
            return probabilities;
        }
        var sum = Weigh(logits, options, prompt, completion);
        TensorPrimitives.Divide(weights, (float)sum, probabilities);
        return probabilities;
    }

    private int Choose(ReadOnlySpan<float> logits, SamplingOptions options, ReadOnlySpan<int> prompt, ReadOnlySpan<int> completion, double draw)
    {
        if (options.Temperature != 0) return Draw(Weigh(logits, options, prompt, completion), draw);
        logits.CopyTo(scaled);
        Adjust(options, prompt, completion);
        return TensorPrimitives.IndexOfMax<float>(scaled);
    }

    // Fills the weights with what each token's share is to be, before division by the sum that comes back.
    private double Weigh(ReadOnlySpan<float> logits, SamplingOptions options, ReadOnlySpan<int> prompt, ReadOnlySpan<int> completion)
    {
        logits.CopyTo(scaled);
        Adjust(options, prompt, completion);
        TensorPrimitives.Divide(scaled, (float)options.Temperature, scaled);
        if (options.TopK > 0 && options.TopK < vocabularySize) KeepLargest(options.TopK);
        var (_, sum) = Exponentials(scaled, 1);
        if (options.TopP < 1) sum = KeepMass(options.TopP, sum);
        if (options.MinP > 0)
        {
            var least = (float)options.MinP * TensorPrimitives.Max<float>(weights);
            for (var i = 0; i < weights.Length; i++) if (weights[i] < least) weights[i] = 0;
            sum = Total();
        }
        return sum;
    }

    private void Adjust(SamplingOptions options, ReadOnlySpan<int> prompt, ReadOnlySpan<int> completion)
    {
        foreach (var (token, bias) in options.LogitBias ?? new Dictionary<int, double>()) scaled[token] += (float)bias;
        if (options.RepetitionPenalty != 1)
        {
            var penalty = (float)options.RepetitionPenalty;
            seen.Clear();
            foreach (var token in prompt) if (seen.Add(token)) Repeat(token);
            foreach (var token in completion) if (seen.Add(token)) Repeat(token);
            void Repeat(int token) => scaled[token] = scaled[token] > 0 ? scaled[token] / penalty : scaled[token] * penalty;
        }
        if (options.PresencePenalty == 0 && options.FrequencyPenalty == 0) return;
        seen.Clear();
        foreach (var token in completion)
        {
            scaled[token] -= (float)options.FrequencyPenalty;
            if (seen.Add(token)) scaled[token] -= (float)options.PresencePenalty;
        }
    }

    private void KeepLargest(int count)
    {
        var largest = new PriorityQueue<float, float>(count);
        foreach (var value in scaled)
        {
            if (largest.Count < count) largest.Enqueue(value, value);
            else if (value > largest.Peek()) largest.EnqueueDequeue(value, value);
        }
        var least = largest.Peek();
        for (var i = 0; i < scaled.Length; i++) if (scaled[i] < least) scaled[i] = float.NegativeInfinity;
    }

    private double KeepMass(double share, double sum)
    {
        // Tokens below (1 - share) / size cannot reach into the kept mass even all together: only the others are sorted.
        var floor = (1 - share) * sum / vocabularySize;
        var count = 0;
        for (var i = 0; i < weights.Length; i++) if (weights[i] >= floor && weights[i] > 0) order[count++] = i;
        var candidates = order.AsSpan(0, count);
        candidates.Sort((a, b) => weights[a] != weights[b] ? weights[b].CompareTo(weights[a]) : a.CompareTo(b));
        double mass = 0;
        var kept = 0;
        while (kept < count && (kept == 0 || mass < share * sum)) mass += weights[candidates[kept++]];
        var least = weights[candidates[kept - 1]];
        var last = candidates[kept - 1];
        for (var i = 0; i < weights.Length; i++) if (weights[i] < least || (weights[i] == least && i > last)) weights[i] = 0;
        return mass;
    }

    // weights = exp(values / temperature - max); their maximum exponent and sum.
    private (double Max, double Sum) Exponentials(ReadOnlySpan<float> values, float temperature)
    {
        TensorPrimitives.Divide(values, temperature, weights);
        var max = TensorPrimitives.Max<float>(weights);
        TensorPrimitives.Subtract(weights, max, weights);
        TensorPrimitives.Exp<float>(weights, weights);
        var sum = Total();
        if (!double.IsFinite(sum)) throw new ArithmeticException("The model's logits are not finite, so no token can be drawn.");
        return (max, sum);
    }

    // In chunks, so that the float error of a long row stays at that of a short one.
    private double Total()
    {
        double sum = 0;
        for (var i = 0; i < weights.Length; i += 256) sum += TensorPrimitives.Sum<float>(weights.AsSpan(i, Math.Min(256, weights.Length - i)));
        return sum;
    }

    private int Draw(double sum, double draw)
    {
        var left = draw * sum;
        var last = -1;
        for (var i = 0; i < weights.Length; i++)
        {
            if (weights[i] <= 0) continue;
            last = i;
            left -= weights[i];
            if (left < 0) return i;
        }
        return last;
    }

    private static TokenLogProb[]? Top(ReadOnlySpan<float> logits, float temperature, double max, double sum, int count)
    {
        if (count == 0) return null;
        var best = new PriorityQueue<int, (float, int)>(count);
        for (var i = 0; i < logits.Length; i++)
        {
            if (best.Count < count) best.Enqueue(i, (logits[i], -i));
            else best.EnqueueDequeue(i, (logits[i], -i));
        }
        var result = new TokenLogProb[best.Count];
        for (var i = result.Length - 1; i >= 0; i--)
        {
            var token = best.Dequeue();
            result[i] = new TokenLogProb(token, (float)(logits[token] / temperature - max - Math.Log(sum)));
        }
        return result;
    }
}
