namespace Gradus.Training.Inference;

/// <summary>How the next token is drawn. Applied in this order: bias, penalties, temperature, top_k, top_p, min_p.</summary>
public sealed record SamplingOptions
{
    public static SamplingOptions Greedy { get; } = new() { Temperature = 0 };

    /// <summary>Divides the logits. 0 takes the largest (the first of equals); default 1.</summary>
    public double Temperature { get; init; } = 1;

    /// <summary>Keeps the fewest likeliest tokens whose probabilities sum to this, in (0, 1]; default 1 keeps all.</summary>
    public double TopP { get; init; } = 1;

    /// <summary>Keeps this many of the largest logits, and all equals of the last; default 0 keeps all.</summary>
    public int TopK { get; init; }

    /// <summary>Keeps what is at least this share of the likeliest, in [0, 1]; default 0 keeps all.</summary>
    public double MinP { get; init; }

    /// <summary>Above 1 makes every token of the prompt and of the completion less likely (Keskar et al. 2019); default 1 does nothing.</summary>
    public double RepetitionPenalty { get; init; } = 1;

    /// <summary>Taken once from the logit of each token that the completion holds; default 0.</summary>
    public double PresencePenalty { get; init; }

    /// <summary>Taken from a token's logit once for each time the completion holds it; default 0.</summary>
    public double FrequencyPenalty { get; init; }

    /// <summary>Added to the logits, by token; default null.</summary>
    public IReadOnlyDictionary<int, double>? LogitBias { get; init; }

    internal bool ChangesLogits => LogitBias is { Count: > 0 } || RepetitionPenalty != 1 || PresencePenalty != 0 || FrequencyPenalty != 0;

    internal bool Filters => TopK > 0 || TopP < 1 || MinP > 0;

    /// <exception cref="InvalidInputException">A number is out of its range, or the bias names a token that there is not.</exception>
    public void Validate(int vocabularySize)
    {
        Check(Temperature, 0, 100, "temperature");
        Check(TopP, double.Epsilon, 1, "top_p");
        Check(TopK, 0, int.MaxValue, "top_k");
        Check(MinP, 0, 1, "min_p");
        Check(RepetitionPenalty, 0.01, 100, "repetition_penalty");
        Check(PresencePenalty, -100, 100, "presence_penalty");
        Check(FrequencyPenalty, -100, 100, "frequency_penalty");
        foreach (var (token, bias) in LogitBias ?? new Dictionary<int, double>())
        {
            if (token < 0 || token >= vocabularySize)
                throw new InvalidInputException($"logit_bias names token {token}; tokens are 0 to {vocabularySize - 1}.", "logit_bias", "out_of_range");
            Check(bias, -1000, 1000, "logit_bias");
        }
    }

    private static void Check(double value, double low, double high, string name)
    {
        if (value >= low && value <= high) return;
        var range = low == double.Epsilon ? $"above 0 and at most {high}" : $"{low} to {high}";
        throw new InvalidInputException($"{name} must be {range}; {value} came.", name, "out_of_range");
    }
}
