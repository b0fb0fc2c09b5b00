using System.Text.Json;
using Gradus.Api.Jobs;
using Gradus.Api.Operations;
using Gradus.Persistence;

namespace Gradus.Api.Models;

/// <summary>A model that can be trained further or talked to.</summary>
/// <param name="Object">Always <c>model</c>.</param>
/// <param name="Created">Unix seconds, as <c>created_at</c>; the name OpenAI's clients read.</param>
/// <param name="OwnedBy">Always <c>gradus</c>.</param>
/// <param name="Alias">The recipe's name where this is the newest result of that recipe, or its own where it is the newest import of that name: usable like the id; else null.</param>
/// <param name="JobId">The job that made it; null for built-in ones.</param>
/// <param name="Details">What is known of it: family, parameters, run, stage, ...</param>
internal sealed record ModelContract(string Id, string Object, long Created, string OwnedBy, string Name, string? Alias, string? JobId, JsonElement Details, bool BuiltIn, long CreatedAt)
{
    public static ModelContract Of(Model model, IReadOnlyDictionary<string, string> aliases) => new(
        model.Id, "model", Wire.Seconds(model.CreatedAt), "gradus", model.Name, aliases.GetValueOrDefault(model.Id), model.JobId, model.Details, model.BuiltIn, Wire.Seconds(model.CreatedAt));
}

/// <summary>/v1/models.</summary>
internal static class ModelEndpoints
{
    public static void MapModels(this WebApplication app)
    {
        app.MapGet("/v1/models", ListAsync).Describe("Models", "List models", "Newest first.").WithQuery(Paging.Limit, Paging.After).Returns<ListContract<ModelContract>>(200);
        app.MapGet("/v1/models/{id}", FindAsync)
            .Describe("Models", "Look at a model", "By id, or by alias: the name of a recipe stands for the newest result of that recipe, the name of an imported model for the newest of that name.").WithPath("id", "The model's id or alias.", "tiny").Returns<ModelContract>(200);
        app.MapDelete("/v1/models/{id}", DeleteAsync)
            .Describe("Models", "Delete a model", "With its folder. 409 for built-in ones and while a job that has not ended needs it.").WithPath("id", "The model's id.", "").Returns<DeletedContract>(200);
    }

    private static async Task<ListContract<ModelContract>> ListAsync(HttpContext context, ModelCatalog models, CancellationToken cancel)
    {
        var limit = Paging.Limit.Read(context);
        var rows = await models.ListAsync(new PageRequest(limit, Paging.After.Read(context)), cancel);
        var aliases = await models.AliasesAsync(cancel);
        return ListContract<ModelContract>.Of(rows, limit, model => ModelContract.Of(model, aliases), model => model.Id);
    }

    private static async Task<ModelContract> FindAsync(string id, ModelCatalog models, CancellationToken cancel) =>
        ModelContract.Of(await models.FindAsync(id, cancel) ?? throw ApiException.NotFound("model", id), await models.AliasesAsync(cancel));

    private static async Task<DeletedContract> DeleteAsync(string id, ModelCatalog models, StateFolders folders, CancellationToken cancel)
    {
        var deletion = await models.DeleteAsync(id, cancel);
        deletion.Require("model", id);
        // If we stop here the folder stays behind; nothing refers to it.
        folders.Delete(deletion.Folder!);
        return new DeletedContract(id, "model");
    }

    /// <exception cref="ApiException">404 or 409, with the reason.</exception>
    public static void Require(this Deletion deletion, string what, string id)
    {
        if (!deletion.Found) throw ApiException.NotFound(what, id);
        if (deletion.BuiltIn) throw ApiException.Conflict($"The {what} '{id}' is built in and stays.", "built_in");
        if (deletion.UsedBy is { } job) throw ApiException.Conflict($"The {what} '{id}' is needed by the job {job}, which has not ended.", "in_use");
    }
}
