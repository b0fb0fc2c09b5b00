namespace Gradus.Training.Optimizer;

/// <summary>AdamW's numbers but the learning rate, which each step is given. The defaults are PyTorch's; a recipe sets every one.</summary>
public sealed record AdamWOptions
{
    /// <summary>Memory of the gradient's mean, in [0, 1). TRL: adam_beta1.</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>Memory of the squared gradient's mean, in [0, 1). TRL: adam_beta2.</summary>
    public double Beta2 { get; init; } = 0.999;

    /// <summary>Added to the root of the squared gradient's mean, above 0. TRL: adam_epsilon.</summary>
    public double Epsilon { get; init; } = 1e-8;

    /// <summary>Share of a weight, times the learning rate, taken off each step; 0 decays nothing. Applies to every parameter, norms and biases too, as in PyTorch.</summary>
    public double WeightDecay { get; init; } = 0.01;

    /// <summary>Checks the ranges.</summary>
    /// <exception cref="InvalidInputException">A number is out of its range.</exception>
    public AdamWOptions Validated()
    {
        Check(Beta1 is >= 0 and < 1, "adam_beta1", "at least 0 and below 1", Beta1);
        Check(Beta2 is >= 0 and < 1, "adam_beta2", "at least 0 and below 1", Beta2);
        Check(Epsilon is > 0 and <= 1, "adam_epsilon", "above 0 and at most 1", Epsilon);
        Check(WeightDecay is >= 0 and <= 10, "weight_decay", "from 0 to 10", WeightDecay);
        return this;
    }

    private static void Check(bool holds, string name, string range, double value)
    {
        if (!holds) throw new InvalidInputException($"{name} must be {range}, not {value}.", name, "out_of_range");
    }
}
