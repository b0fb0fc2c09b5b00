using System.Text.Json;
using System.Text.Json.Nodes;
using Gradus.Training.Evaluation;
using Gradus.Training.Rollouts;
using Gradus.Training.Stages;

namespace Gradus.Training.Recipes;

/// <summary>
/// Stages in order, each with its options, checked whole before anything runs. Prompts of its evaluate stages' sets never train: the sets are added to
/// <c>held_out</c> of every other stage that reads a dataset, and those stages leave out rows with such a prompt, with an event.
/// </summary>
/// <param name="Seed">What every draw of a run derives from where the run names none; default 1.</param>
public sealed record Recipe(string Name, string Description, long Seed, IReadOnlyList<RecipeStage> Stages)
{
    public const int MostStages = 64;

    /// <summary>The models and datasets that must exist before the recipe can run: what it names by id, each with the first place that names it.</summary>
    public IReadOnlyList<StageReference> References => [.. Stages.SelectMany(s => s.Options.References).Where(r => r.Id is not null).DistinctBy(r => (r.Kind, r.Id))];

    /// <param name="path">Where the recipe stands in a request (<c>recipe</c>), for messages; empty where it is all of it.</param>
    /// <exception cref="InvalidInputException">Anything is unknown, missing, out of range, or refers to a stage that is not an earlier one that makes what is asked.</exception>
    public static Recipe Parse(JsonElement json, string path = "")
    {
        var reader = new OptionReader(json, path);
        var name = NameIn(reader, "name");
        var description = reader.Text("description", " ", 2000);
        var seed = reader.Long("seed", 1, 0, 1L << 53);
        var items = reader.Items("stages", MostStages);
        if (items.Count == 0) throw new InvalidInputException($"'{reader.At("stages")}' is missing: a list of 1 to {MostStages} stages is needed.", reader.At("stages"), "missing");
        reader.RefuseUnknown();

        List<RecipeStage> stages = [];
        foreach (var (value, place) in items)
        {
            var stage = RecipeStage.Parse(value, place);
            if (stages.Any(s => s.Name == stage.Name)) throw OptionReader.Invalid($"{place}.name", $"'{place}.name' is '{stage.Name}', the name of an earlier stage.");
            CheckReferences(stage, stages, items);
            stages.Add(stage);
        }
        HoldOut(stages);
        return new(name, description, seed, stages);
    }

    /// <summary>The seed of one stage of a run: two stages of a recipe draw differently, the same stage of two recipes alike (their base is the same model, then).</summary>
    public static long StageSeed(long runSeed, string stageName) => (long)(DerivedRandom.Key(runSeed, "stage " + stageName) >> 11);

    /// <summary>The options with every <c>{"from":"STAGE"}</c> replaced by the id of what that stage made.</summary>
    /// <param name="idOf">The id of what a stage (by its name in the recipe) made.</param>
    public static JsonElement Resolve(JsonElement options, Func<string, Artifact, string> idOf)
    {
        var root = JsonSerializer.SerializeToNode(options)!;
        Walk(root);
        return JsonSerializer.SerializeToElement(root);

        void Walk(JsonNode? node)
        {
            if (node is JsonArray list)
                for (var i = 0; i < list.Count; i++) Replace(list[i], Artifact.Dataset, made => list[i] = made);
            if (node is JsonObject map)
                foreach (var key in map.Select(f => f.Key).ToArray()) Replace(map[key], key == "model" ? Artifact.Model : Artifact.Dataset, made => map[key] = made);
        }

        void Replace(JsonNode? node, Artifact kind, Action<JsonNode> set)
        {
            if (node is JsonObject { Count: 1 } only && only["from"] is JsonValue from && from.TryGetValue<string>(out var stage)) set(idOf(stage, kind));
            else Walk(node);
        }
    }

    internal static string NameIn(OptionReader reader, string field)
    {
        var name = reader.Text(field, null, 64);
        if (name.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.')) return name;
        throw OptionReader.Invalid(reader.At(field), $"'{reader.At(field)}' may hold letters, digits, '-', '_' and '.', not '{name}'.");
    }

    private static void CheckReferences(RecipeStage stage, List<RecipeStage> earlier, IReadOnlyList<(JsonElement Value, string Path)> all)
    {
        foreach (var reference in stage.Options.References.Where(r => r.From is not null))
        {
            var source = earlier.Find(s => s.Name == reference.From);
            if (source is null)
            {
                var later = all.Any(i => i.Value.ValueKind == JsonValueKind.Object && i.Value.TryGetProperty("name", out var n) && n.ValueKind == JsonValueKind.String && n.GetString() == reference.From);
                var what = later ? "which is not an earlier stage" : "which there is not";
                var names = earlier.Count == 0 ? "there are none before it" : $"the earlier stages are {string.Join(", ", earlier.Select(s => s.Name))}";
                throw new InvalidInputException($"'{reference.Path}' refers to the stage '{reference.From}', {what}; {names}.", reference.Path, "invalid_reference");
            }
            if (source.Options.Makes != reference.Kind)
            {
                var makes = source.Options.Makes == Artifact.None ? "nothing" : $"a {source.Options.Makes.ToString().ToLowerInvariant()}";
                throw new InvalidInputException(
                    $"'{reference.Path}' needs a {reference.Kind.ToString().ToLowerInvariant()}, but the stage '{reference.From}' ({source.Stage}) makes {makes}.", reference.Path, "invalid_reference");
            }
        }
    }

    private static void HoldOut(List<RecipeStage> stages)
    {
        var sets = stages.Select(s => s.Options).OfType<EvaluateOptions>().SelectMany(e => e.Sets).Select(s => s.Dataset).DistinctBy(d => (d.Id, d.From)).ToArray();
        for (var i = 0; i < stages.Count; i++)
        {
            if (stages[i].Options is EvaluateOptions) continue;
            var before = stages.Take(i).Select(s => s.Name).ToHashSet();
            if (stages[i].Options is not (GenerateOptions or SelectOptions) && sets.FirstOrDefault(s => s.From is { } from && !before.Contains(from)) is { } late)
                throw new InvalidInputException(
                    $"'{late.Path}' is made by the stage '{late.From}', which comes after '{stages[i].Name}': its prompts could not be held out there. Put it first.", late.Path, "invalid_reference");
            stages[i] = stages[i].WithHeldOut([.. sets.Where(s => s.From is null || before.Contains(s.From))]);
        }
    }
}
