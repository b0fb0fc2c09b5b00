using Gradus.Api;
using Gradus.Api.Chat;
using Gradus.Api.Demo;
using Gradus.Api.Jobs;

// One binary: the service, and the children it starts for a stage (`stage`) and for chat (`serve`).
return args switch
{
    ["demo", .. var rest] => await DemoCommand.RunAsync(rest),
    ["stage", .. var rest] => StageProcess.Run(rest),
    ["serve", .. var rest] => await ServeProcess.RunAsync(rest),
    _ => await ServiceSetup.RunAsync(args),
};
