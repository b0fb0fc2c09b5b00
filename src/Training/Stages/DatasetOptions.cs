namespace Gradus.Training.Stages;

/// <summary>The rows a stage works on, and the prompts it must not see.</summary>
/// <param name="Datasets"><c>dataset</c> (one id or <c>{"from":"STAGE"}</c>) or <c>datasets</c> (a list of <c>{"dataset","weight"}</c>, 1 to 16), whose rows are joined.</param>
/// <param name="HeldOut">
/// <c>held_out</c>: datasets whose prompts never train; rows with such a prompt are left out, with an event that counts them. A recipe adds the
/// sets of its evaluate stages by itself. Default none, at most 16.
/// </param>
public sealed record DatasetOptions(IReadOnlyList<WeightedDataset> Datasets, IReadOnlyList<StageReference> HeldOut)
{
    internal static DatasetOptions Read(OptionReader reader)
    {
        var listed = reader.Items("datasets", 16);
        if (listed.Count > 0 && reader.Has("dataset"))
            throw OptionReader.Invalid(reader.At("datasets"), $"'{reader.At("dataset")}' and '{reader.At("datasets")}' exclude each other.");
        List<WeightedDataset> datasets = [];
        foreach (var (value, path) in listed)
        {
            var item = reader.Inside(value, path);
            datasets.Add(new(item.Reference("dataset", Artifact.Dataset), item.Number("weight", 1, 0.01, 100)));
            item.RefuseUnknown();
        }
        if (datasets.Count == 0) datasets.Add(new(reader.Reference("dataset", Artifact.Dataset), 1));
        return new(datasets, [.. reader.Items("held_out", 16).Select(i => reader.ReferenceOf(i.Value, i.Path, Artifact.Dataset))]);
    }
}
