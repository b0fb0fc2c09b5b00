namespace Gradus.Training.Stages;

/// <summary>What a stage makes, and what a reference asks for.</summary>
public enum Artifact
{
    None,
    Model,
    Dataset,
}

/// <summary>A place in a stage's options that names a model or a dataset: by id, or by the earlier stage of the same recipe that makes it.</summary>
/// <param name="Path">Where it stands: <c>stages[1].options.model</c>.</param>
/// <param name="Id">The id, or null where <paramref name="From"/> is set.</param>
/// <param name="From">The stage's name in the recipe, from <c>{"from":"STAGE"}</c>; null where an id is given.</param>
public sealed record StageReference(string Path, Artifact Kind, string? Id, string? From)
{
    /// <summary>The id, once references to stages have been replaced.</summary>
    /// <exception cref="InvalidInputException">It still names a stage.</exception>
    internal string Resolved => Id ?? throw new InvalidInputException(
        $"{Path} refers to the stage '{From}', which only a recipe can; give the id of a {Kind.ToString().ToLowerInvariant()}.", Path, "invalid_reference");
}

/// <summary>One of several datasets whose rows are joined.</summary>
/// <param name="Weight">How often each of its rows stands in an epoch, 0.01 to 100: 2 is twice, 0.5 a drawn half of them.</param>
public sealed record WeightedDataset(StageReference Dataset, double Weight);
